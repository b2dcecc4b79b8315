"""Adapters: what they gain beside full fine-tuning, and whom they harm."""
