"""Decision processes small enough for a table: planning, Monte Carlo and temporal-difference learning."""
