"""How models are trained: draws, losses, the loop with its checkpoints. The program is `isac_models.train`."""
