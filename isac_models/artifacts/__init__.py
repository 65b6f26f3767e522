"""Shipped trained models, loaded by their names without the suffix (see `isac_models.artifact`)."""
