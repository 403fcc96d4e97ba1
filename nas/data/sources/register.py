"""The sources by name; loads neither torch nor numpy.

A new source is a module with `load(spec: DataSpec) -> Dataset` and its entry here.
"""

SOURCES = {
    "digits": "nas.data.sources.digits",
    "fashion_mnist": "nas.data.sources.fashion_mnist",
    "npz": "nas.data.sources.npz",
}
OWN = "nas.data.sources.own"  # for module:attribute
