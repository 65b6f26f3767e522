"""How models are trained: draws, losses, loop and checkpoints. The program is `isac_models.train`."""
