"""The zoo: published sizes, exactly, and the structure of the papers' tables."""

import pytest

from scaling.cost import cost
from search_spaces import BadInput, count, key
from search_spaces.block import fixed
from search_spaces.serialise import from_text, to_json
from search_spaces.zoo import MODELS, model
from search_spaces.zoo.efficientnet import rounded

# resolution, params and multiply-adds of convolutions and the dense layer; the paper rounds the last (0.39 B)
PUBLISHED = {
    "efficientnet_b0": (224, 5_288_548, 385_814_752),
    "efficientnet_b1": (240, 7_794_184, 686_802_832),
    "efficientnet_b2": (260, 9_109_994, 993_561_872),
    "efficientnet_b3": (300, 12_233_232, 1_827_141_392),
    "efficientnet_b4": (380, 19_341_616, 4_393_771_024),
    "efficientnet_b5": (456, 30_389_784, 10_266_384_752),
    "efficientnet_b6": (528, 43_040_704, 19_067_593_536),
    "efficientnet_b7": (600, 66_347_960, 37_745_884_192),
    "darts_v2_cifar": (32, 3_349_342, 528_359_040),
    "darts_v2_imagenet": (224, 4_718_752, 529_911_552),
}


@pytest.mark.parametrize(
    ("name", "resolution", "params", "macs"), [(n, *row) for n, row in PUBLISHED.items()]
)
def test_params_and_multiply_adds_are_the_published_ones(
    name: str, resolution: int, params: int, macs: int
) -> None:
    network = model(name)
    assert network.input == (3, resolution, resolution)
    assert (cost(network).params, cost(network).macs) == (params, macs)


def test_widths_and_depths_of_b7_are_the_published_ones() -> None:
    b7 = model("efficientnet_b7")
    assert [stage.width for stage in b7.stages] == [32, 48, 80, 160, 224, 384, 640]
    assert [len(fixed(stage).blocks) for stage in b7.stages] == [4, 7, 7, 10, 10, 13, 4]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_one_architecture_that_files_hold(name: str) -> None:
    network = model(name)
    assert count(network) == 1
    assert key(from_text(to_json(network))) == key(network)


def test_every_model_has_its_own_key() -> None:
    assert len({key(model(name)) for name in MODELS}) == len(MODELS)


def test_channels_round_to_eights_but_never_lose_a_tenth() -> None:
    assert [rounded(n) for n in (3, 8, 11, 12, 35.2, 44, 88.1)] == [8, 8, 16, 16, 32, 48, 88]


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadInput, match=r"model: got 'efficientnet_b9', .* did you mean 'efficientnet_b"):
        model("efficientnet_b9")
