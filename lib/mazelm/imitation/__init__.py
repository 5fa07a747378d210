"""Learning from an expert: behaviour cloning and DAgger (chapter 13)."""
