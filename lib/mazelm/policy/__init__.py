"""Policies and values as networks: DQN, policy gradients, PPO and maximum entropy (chapters 9 to 11)."""
