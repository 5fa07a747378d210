"""What every chapter needs: claims, figures, a function's own source, and the checks of arguments."""
