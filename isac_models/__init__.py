"""The mathematics and the learning of integrated sensing and communication; knows nothing of streams.

Equation numbers refer to Mateos-Ramos et al., "Model-Driven End-to-End Learning for Integrated Sensing and
Communication", IEEE ICC 2023. Angles are in radians, powers linear, positions in wavelengths.
"""
