"""The zoo: published sizes, exactly, and the structure of the papers' tables."""

from dataclasses import replace

import pytest

from scaling.cost import cost
from search_spaces import BadInput, count, key, steps
from search_spaces.block import fixed
from search_spaces.serialise import from_text, to_json
from search_spaces.zoo import MODELS, is_model, model
from search_spaces.zoo.efficientnet import rounded

# Resolution, params and multiply-adds of convolutions and dense layers, as published by authors and by torchvision;
# all members that torchvision has are held against its classes in test_zoo_oracles.py.
PUBLISHED = {
    "lenet5": (28, 61_706, 416_520),
    "alexnet": (224, 61_100_840, 714_188_480),
    "vgg16": (224, 138_357_544, 15_470_264_320),
    "googlenet": (224, 6_624_904, 1_498_376_192),
    "squeezenet1_1": (224, 1_235_496, 349_151_936),
    "resnet18": (224, 11_689_512, 1_814_073_344),
    "resnet50": (224, 25_557_032, 4_089_184_256),
    "mobilenet_v1": (224, 4_231_976, 568_740_352),
    "mobilenet_v2": (224, 3_504_872, 300_774_272),
    "mobilenet_v3_large": (224, 5_483_032, 216_589_760),
    "shufflenet_v2_x1_0": (224, 2_278_604, 144_907_992),
    "efficientnet_v2_s": (384, 21_458_488, 8_365_617_152),
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
    assert network.input[1:] == (resolution, resolution)
    assert (cost(network).params, cost(network).macs) == (params, macs)


# Millions of params and multiply-adds, rounded as the papers print them
ROUNDED = {
    "mobilenet_v1(width=0.75)": (2.6, 325),  # Howard et al. 2017, table 6
    "mobilenet_v1(width=0.5)": (1.3, 149),
    "mobilenet_v1(width=0.25)": (0.5, 41),
    "nasnet_a_mobile": (5.3, 564),  # Zoph et al. 2018, table 3
    "amoebanet_a_mobile": (5.1, 555),  # Real et al. 2019, table 5
}


@pytest.mark.parametrize(("name", "params", "macs"), [(n, *row) for n, row in ROUNDED.items()])
def test_params_and_multiply_adds_round_to_what_the_papers_print(name: str, params: float, macs: int) -> None:
    own = cost(model(name))
    assert (round(own.params / 1e6, 1), int(own.macs / 1e6 + 0.5)) == (params, macs)


def test_nasnet_a_has_as_many_weights_as_the_authors_variables() -> None:
    assert cost(model("nasnet_a_mobile")).params == 5_289_978  # those that are trained, at 1000 classes
    assert round(cost(model("nasnet_a_cifar")).params / 1e6, 1) == 3.3  # Zoph et al. 2018, table 1


@pytest.mark.parametrize(
    ("name", "shapes"),
    [  # channels and size behind the stem's cells, each run of cells and each reduction: the authors' own tests
        ("nasnet_a_mobile", [(44, 56), (88, 28), (264, 28), (352, 14), (528, 14), (704, 7), (1056, 7)]),
        ("nasnet_a_cifar", [(192, 32), (256, 16), (384, 16), (512, 8), (768, 8)]),
    ],
)
def test_the_cells_of_nasnet_a_give_the_authors_shapes(name: str, shapes: list[tuple[int, int]]) -> None:
    given = [step.graph.shape(step.graph.output)[:2] for step in steps(model(name))[1:-2]]
    assert list(dict.fromkeys(given)) == shapes


def test_network_in_network_costs_what_one_adds_up_by_hand() -> None:
    # kernel positions, channels read, channels given, positions: Lin et al. 2014, the authors' file for CIFAR-10
    layers = (
        (25, 3, 192, 32), (1, 192, 160, 32), (1, 160, 96, 32),
        (25, 96, 192, 16), (1, 192, 192, 16), (1, 192, 192, 16),
        (9, 192, 192, 8), (1, 192, 192, 8), (1, 192, 10, 8),
    )  # fmt: skip
    own = cost(model("nin_cifar"))
    assert own.params == sum((k * a + 1) * b for k, a, b, _ in layers) == 966_986
    assert own.macs == sum(k * a * b * n * n for k, a, b, n in layers)
    assert cost(model("nin_imagenet")).params == 7_595_176  # 30 MB, the size of the authors' file


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


def test_settings_follow_a_models_name() -> None:
    assert model("mobilenet_v2(width=1)") == model("mobilenet_v2")
    assert model(" mobilenet_v2( width = 1.4 ) ").head == replace(model("mobilenet_v2").head, width=1792)
    assert is_model("mobilenet_v1(width=0.25)")
    assert is_model("mobilenet_v1(wide=0.25)")  # `model` says what is wrong with it
    assert not is_model("mobilenet.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobilenet_v2(widht=1)", "got the setting 'widht=1', .* takes width, .* did you mean 'width'"),
        ("mobilenet_v2(width=1, width=1)", "got the setting 'width=1', .* each once"),
        ("mobilenet_v2(width=wide)", "width: got 'wide', expected a number above 0, at most 16"),
        ("mobilenet_v2(width=0)", "width: got '0'"),
        ("mobilenet_v2(width=inf)", "width: got 'inf'"),
        ("resnet18(width=2)", "resnet18 takes none"),
        ("mobilenet_v3_large(head=8)", "mobilenet_v3_large takes none"),
    ],
)
def test_settings_that_a_model_does_not_take_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=rf"^model: .*{message}"):
        model(text)


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadInput, match=r"model: got 'efficientnet_b9', .* did you mean 'efficientnet_b"):
        model("efficientnet_b9")
