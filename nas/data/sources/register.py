"""The sources by name; loads neither torch nor numpy.

A new source is a module with `load(spec: DataSpec) -> Dataset` and its entry here.
"""

SOURCES = {
    "cifar10": "nas.data.sources.cifar10",
    "cifar100": "nas.data.sources.cifar100",
    "digits": "nas.data.sources.digits",
    "fashion_mnist": "nas.data.sources.fashion_mnist",
    "images": "nas.data.sources.images",
    "npz": "nas.data.sources.npz",
}
OWN = "nas.data.sources.own"  # for module:attribute
