"""How the figures are measured: points, sweeps on Dask, plots. The program is `isac_models.figures`."""
