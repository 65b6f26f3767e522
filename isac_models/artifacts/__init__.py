"""Shipped artifacts: trained models that are loaded by name, without the suffix (see `isac_models.artifact`)."""
