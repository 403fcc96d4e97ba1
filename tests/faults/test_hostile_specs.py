"""Hostile and broken specs: each is refused at once, in words, with a line; nothing is run or allocated."""

import json
import re
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import pytest

from search_spaces import (
    BadInput,
    BadSpec,
    Block,
    Choice,
    Classifier,
    Conv,
    MBConv,
    Network,
    Norm,
    OutOfSpace,
    Repeat,
    Stage,
    Unbuildable,
    decisions,
    from_text,
    load,
    lower,
    register,
    to_json,
)
from search_spaces.serialise import from_data
from search_spaces.text import parse, read_text

QUICK_SECONDS = 0.1
STAGE = "stages[0]"
BLOCK = "stages[0].blocks[0]"
IN_BLOCK, IN_WIDTH = f"5: {BLOCK}", f"6: {STAGE}.width"
GOOD = """version: 1
network:
  input: [3, 32, 32]
  stages:
  - blocks: [{type: Conv, kernel: 3}]
    width: 16
  head: {type: Classifier, classes: 10}
"""


def net(*blocks, repeat=None, width=8, size=32, stride=1):
    return Network(
        input=(3, size, size),
        stages=(Stage(blocks=repeat or blocks, width=width, stride=stride),),
        head=Classifier(classes=2),
    )


def refusal(act):
    """Return the message of the `BadInput` that `act` raises, at best within 100 ms of processor time."""
    times, messages = [], set()
    for _ in range(3):
        began = time.process_time()
        with pytest.raises(BadInput) as caught:
            act()
        times.append(time.process_time() - began)
        messages.add(str(caught.value))
    assert min(times) < QUICK_SECONDS
    assert len(messages) == 1
    message = messages.pop()
    assert len(message) < 3000
    return message


def swapped(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (GOOD + "x: !!python/object/apply:os.system [touch /tmp/hacked]\n", 8, "tags are not read"),
        (GOOD + "x: !!python/name:os.system\n", 8, "tags are not read"),
        (GOOD + "x: !!binary aGk=\n", 8, "tags are not read"),
        (GOOD + "x: !!timestamp soon\n", 8, "tags are not read"),
        (GOOD + "!!str x: 1\n", 8, "tags are not read"),
        (GOOD + "x: !mine 1\n", 8, "tags are not read"),
        (GOOD + "a: &a [x]\nb: *a\n", 9, "alias"),
        (GOOD + "version: 1\n", 8, "the key 'version' stands twice"),
        (swapped("kernel: 3", "kernel: 3, kernel: 5"), 5, "the key 'kernel' stands twice"),
        (swapped("kernel: 3", '"kernel": 3, kernel: 5'), 5, "the key 'kernel' stands twice"),
        (GOOD + "? [a]\n: b\n", 8, "a list or mapping as a key"),
        (GOOD + "? {a: 1}\n: b\n", 8, "a list or mapping as a key"),
        (GOOD + "1: x\n", 8, "got the key 1, expected text"),
        (GOOD + "true: x\n", 8, "got the key True, expected text"),
        (GOOD + "null: x\n", 8, "got the key None, expected text"),
        (GOOD + "x: 1e999\n", 8, "too large or too long for a number"),
        (GOOD + f"x: {'9' * 5000}\n", 8, "too large or too long for a number"),
        (GOOD + f"x: 0.{'9' * 5000}\n", 8, "too large or too long for a number"),
        (GOOD + "x: \0\n", 8, "control characters"),
        (GOOD + "x: \x1b[2J\n", 8, "control characters"),
        (GOOD + "x: \ud800\n", 8, "surrogate"),
        (GOOD + "---\nversion: 1\n", 8, "second document"),
        (GOOD + "x: [1, 2\n", 9, ""),
        (GOOD + "x: 'half\n", 9, "end of stream"),
        (GOOD + "\tx: 1\n", 8, ""),
        (GOOD + "x: @at\n", 8, ""),
        (GOOD + "%YAML 9.9\n", 8, ""),
    ],
)
def test_broken_yaml_is_refused_with_its_line(text, line, problem):
    message = refusal(lambda: from_text(text, source="a.yaml"))
    assert message.startswith(f"a.yaml, line {line}: ")
    assert problem in message


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "- " * 100_000])
def test_a_depth_of_a_hundred_thousand_is_refused(text):
    assert refusal(lambda: from_text(text)) == "text, line 1: nested deeper than 64 levels"


def test_a_depth_of_a_hundred_thousand_in_python_data_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert "nested deeper" in refusal(lambda: from_data(Network, {"input": deep}))


def test_an_alias_bomb_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    assert refusal(lambda: from_text("\n".join(lines))).startswith("text, line 2: got an alias")


def test_ten_megabytes_are_refused_unread(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_bytes(b"- 0\n" * 2_500_000)
    assert "10,000,000 bytes, expected at most 1,000,000" in refusal(lambda: load(path))
    text = path.read_text()
    assert "10,000,000 characters" in refusal(lambda: from_text(text))


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b.yaml"])
def test_what_is_no_file_is_refused(tmp_path, name):
    assert "no such file" in refusal(lambda: load(tmp_path / name))


def test_endless_and_binary_files_are_refused(tmp_path):
    assert "no such file" in refusal(lambda: read_text(Path("/dev/zero")))
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\x80\x81\xff")
    assert "cannot be read as a text file" in refusal(lambda: load(path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "got None, expected the two keys version and network"),
        ("# nothing", "got None, expected the two keys"),
        ("network", "got 'network', expected the two keys"),
        ("[1]", "got [1], expected the two keys"),
        ("version: 1", "got the keys ['version'], expected the two keys"),
        (GOOD + "more: 1", "got the keys ['version', 'network', 'more']"),
        (swapped("version: 1", "version: 2"), "version: got 2, expected 1"),
        (swapped("version: 1", "version: true"), "version: got True, expected 1"),
        (swapped("version: 1", "version: 1.0"), "version: got 1.0, expected 1"),
    ],
)
def test_a_file_of_another_kind_is_refused(text, problem):
    message = refusal(lambda: from_text(text, source="a.yaml"))
    assert message.startswith("a.yaml: ")
    assert problem in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("kernel: 3", "kernel: no", IN_BLOCK + ".kernel: got 'no', expected a whole number or a list"),
        ("kernel: 3", "kernel: 1e3", IN_BLOCK + ".kernel: got 1000.0, expected "),
        ("kernel: 3", "kernel: .nan", IN_BLOCK + ".kernel: got '.nan', expected "),
        ("kernel: 3", "kernel: 0", IN_BLOCK + ".kernel: got 0, expected greater than or equal to 1"),
        ("kernel: 3", "kernel: true", IN_BLOCK + ".kernel: got True, expected "),
        ("kernel: 3", "kernel: 010", IN_BLOCK + ".kernel: got '010', expected "),
        ("kernel: 3", "kernel: ~", IN_BLOCK + ".kernel: got None, expected "),
        ("kernel: 3", "kernel: [3, x]", IN_BLOCK + ".kernel[1]: got 'x', expected a whole number"),
        ("kernel: 3", "kernle: 3",
         IN_BLOCK + ".kernle: unknown field; the fields of Conv are kernel, groups, padding, "
         "bias, act, norm; did you mean 'kernel'?"),
        ("kernel: 3", "act: rleu", IN_BLOCK + ".act: got 'rleu', expected one of relu, "),
        ("type: Conv", "type: Cnv", IN_BLOCK + ": got type 'Cnv', expected one of "),
        ("type: Conv", "type: 7", IN_BLOCK + ": got type 7, expected one of "),
        ("type: Conv, ", "", IN_BLOCK + ": got no type, expected one of "),
        ("type: Conv", "type: Classifier", IN_BLOCK + ": got type 'Classifier', expected one of "),
        ("blocks: [{type: Conv, kernel: 3}]", "blocks: []", f"5: {STAGE}.blocks: got (), expected at least"),
        ("blocks: [{type: Conv, kernel: 3}]", "blocks: x", f"5: {STAGE}.blocks: got 'x', expected a list"),
        ("blocks: [{type: Conv, kernel: 3}]", "blocks: {choice: []}",
         "5: stages[0].blocks.choice: got (), expected at least 1 item"),
        ("blocks: [{type: Conv, kernel: 3}]", "blocks: {repeat: {type: Conv}, count: 1000000}",
         "5: stages[0].blocks.count: got 1000000, expected less than or equal to 4096"),
        ("blocks: [{type: Conv, kernel: 3}]", "blocks: {repeat: {type: Conv}, cuont: 1, count: 2}",
         "5: stages[0].blocks.cuont: unknown field; the fields of a repeat are repeat, count, independent; "
         "did you mean 'count'?"),
        ("    width: 16\n", "", "5: stages[0].width: missing, and it has no default; give it a value"),
        ("width: 16", "width: {choice: [16, 16]}", IN_WIDTH + ": got options 0 and 1 that overlap (16"),
        ("width: 16", "width: {choice: [16, x]}", IN_WIDTH + ".choice[1]: got 'x', expected a whole number"),
        ("width: 16", "width: {choice: [16], name: ''}", IN_WIDTH + ".name: got '', expected "),
        ("width: 16", "width: 1000000000000", IN_WIDTH + ": got 1000000000000, expected less"),
        ("width: 16", "width: 16\n    type: Stage",
         "7: stages[0].type: unknown field; the fields of Stage are blocks, width, stride"),
        ("classes: 10", "classes: -1", "7: head.classes: got -1, expected greater than or equal to 1"),
        ("classes: 10", "classes: 10, dropout: 1", "7: head.dropout: got 1, expected less than 1"),
        ("input: [3, 32, 32]", "input: [3]", "3: input: got (3,), expected at least 2 items"),
        ("input: [3, 32, 32]", "input: [3, 8, 8, 8, 8]", "3: input: got more than 4 items"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_once_with_line_path_got_and_expected(old, new, expected):
    message = refusal(lambda: from_text(swapped(old, new), source="a.yaml"))
    assert message.startswith("a.yaml, line " + expected)
    assert len(message.splitlines()) == 1
    path = expected.split(": ")[1]
    assert len(re.findall(re.escape(path) + r"(?![\w\[.])", message)) == 1


def test_several_mistakes_are_several_lines_in_order():
    text = swapped("kernel: 3", "kernel: x, groups: y").replace("width: 16", "width: z")
    assert [line.split(": ")[1] for line in refusal(lambda: from_text(text)).splitlines()] == [
        BLOCK + ".kernel", BLOCK + ".groups", "stages[0].width",
    ]  # fmt: skip


def test_thousands_of_mistakes_are_twenty_lines_and_a_number():
    text = swapped("[{type: Conv, kernel: 3}]", f"[{', '.join(['{type: Conv, kernel: x}'] * 100)}]")
    lines = refusal(lambda: from_text(text)).splitlines()
    assert len(lines) == 21
    assert lines[-1].endswith("and 80 more")


def test_a_name_of_control_characters_is_shown_in_escapes():
    text = swapped("kernel: 3", r'"\e[2J\0": 3')
    assert r"'\x1b[2J\x00': unknown field" in refusal(lambda: from_text(text))


def test_json_is_as_strict():
    good = to_json(net(Conv()))
    assert from_text(good) == net(Conv())
    assert refusal(lambda: from_text(good.replace('"width": 8', '"width": NaN'))).startswith(
        "text, line 16: "
    )
    assert refusal(lambda: from_text(good.replace('"width": 8', '"width": Infinity')))
    assert "stands twice" in refusal(lambda: from_text(good.replace('"width": 8', '"width": 8, "width": 8')))
    assert refusal(lambda: from_text(good[:-20]))


def test_python_mappings_with_odd_keys_are_refused():
    for odd in ({1: 2}, {None: 1}, {("x",): 1}, {b"input": 1}):
        assert "got" in refusal(lambda odd=odd: from_data(Network, odd))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_finite_number_is_refused(number):
    assert "finite number" in refusal(lambda: net(MBConv(expand=number)))
    assert BLOCK + ".norm.eps: " in refusal(lambda: net(Conv(norm=Norm(eps=number))))


@pytest.mark.parametrize(
    "block",
    [Conv(norm=Norm(eps="1e-5")), Conv(norm=Norm(groups="8")), Conv(norm=Norm(groups=8.0)), Conv(kernel="3")],
)
def test_text_and_fractions_are_never_taken_for_whole_numbers(block):
    assert refusal(lambda: net(block)).startswith(BLOCK + ".")


def test_a_users_plain_float_takes_no_nan_either():
    @register
    @dataclass(frozen=True, slots=True, kw_only=True)
    class PlainFloat(Block):
        gain: float = 1.0

    assert "expected a finite number" in refusal(lambda: net(PlainFloat(gain=float("nan"))))


def test_huge_numbers_are_mere_numbers_and_nothing_is_allocated():
    tracemalloc.start()
    try:
        network = net(Conv(kernel=3), Conv(kernel=2**31, groups=1), width=10**9)
        graph = lower(network)
        assert graph.nodes[0].shape[0] == 10**9
        lower(net(Conv(norm=Norm(kind="group", groups=65536)), width=2**31 - 1))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: net(Conv(), width=10**12), "stages[0].width: got 1000000000000"),
        (lambda: net(Repeat(Conv(), 10**6)), BLOCK + ": "),
        (lambda: net(*[Conv()] * 5000), "stages[0].blocks: got more than 4096 items"),
        (lambda: net(repeat=Repeat(Conv(), 10**6)), "stages[0].blocks.count: got 1000000"),
        (lambda: net(Conv(kernel=(3, 3.5))), BLOCK + ".kernel[1]: got 3.5, expected a whole"),
        (lambda: net(Conv(), stride=Choice(1, 1)), "stages[0].stride: got options 0 and 1 that overlap"),
        (lambda: net(Conv(norm=Norm(groups=10**9))), BLOCK + ".norm.groups: got 1000000000"),
        (lambda: net("Conv"), BLOCK + ": got 'Conv', expected a mapping or a choice"),
        (lambda: net(Classifier(classes=2)), BLOCK + ": got Classifier, expected one of "),
        (lambda: net(None), BLOCK + ": got None"),
        (lambda: net(Choice(Conv(), Choice(MBConv()))), BLOCK + ".choice[1]: got Choice, "),
    ],
)  # fmt: skip
def test_impossible_python_is_refused_when_the_network_is_built(build, problem):
    message = refusal(build)
    assert message.startswith(problem)
    assert len(message.splitlines()) == 1


def test_an_unknown_block_names_the_nearest():
    assert refusal(lambda: from_text(swapped("type: Conv", "type: MBCnov"))).endswith(
        "; did you mean 'MBConv'?"
    )


def test_a_stride_that_eats_its_input_is_named():
    with pytest.raises(Unbuildable) as caught:
        lower(net(Conv(kernel=5, padding="valid"), Conv(kernel=5, padding="valid"), size=8, stride=2))
    assert str(caught.value) == (
        "stages.0.blocks.1 (Conv): conv: Convolution: got an output size of -2x-2 on an input of 2x2, "
        "expected at least 1 along each axis; use a smaller kernel, dilation or stride, or a larger input"
    )


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            net(Conv(groups=5)),
            r"^stages\.0\.blocks\.0 \(Conv\): conv: Convolution: got 5 groups for 3",
        ),
        (net(Conv(kernel=(3, 3, 3))), r"^stages\.0\.blocks\.0 \(Conv\): .*3 entries for 2 spatial axes"),
        (net(Conv(), stride=(2,)), r"^stages\.0\.blocks\.0 \(Conv\): .*1 entries for 2 spatial axes"),
    ],
)
def test_what_cannot_be_built_names_its_block(network, message):
    with pytest.raises(Unbuildable, match=message):
        lower(network)


def test_a_choice_left_open_is_named():
    for space, path in (
        (net(Conv(kernel=Choice(3, 5))), r"stages\[0\]\.blocks\[0\]\.kernel"),
        (net(Conv(), width=Choice(8, 16)), r"stages\[0\]\.width"),
        (net(repeat=Repeat(Conv(), 2)), r"stages\[0\]\.blocks"),
    ):
        with pytest.raises(
            BadSpec, match=rf"^{path}: got a (Choice|Repeat), expected a value; sample or resolve"
        ):
            lower(space)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            net(Conv(kernel=4), Conv()),
            r"^stages\[0\]\.blocks\[0\]\.kernel: got 4, expected one of 3, 5; was",
        ),
        (
            net(MBConv(), Conv()),
            r"^stages\[0\]\.blocks\[0\]: got MBConv, expected Conv; was this",
        ),
        (net(Conv(), Conv(), width=9), r"^stages\[0\]\.width: got 9, expected one of 8, 16; was this spec"),
        (net(Conv()), r"^stages\[0\]\.blocks: got 1 items \(Conv\), expected 2 items"),
        (net(Conv(), Conv(), size=16), r"^input\[1\]: got 16, expected 32"),
        (Conv(), r"^spec: got Conv, expected Network; was this spec written for another space\?$"),
    ],
)
def test_a_spec_of_another_space_is_refused_with_its_path(spec, message):
    space = net(Conv(kernel=Choice(3, 5)), Conv(), width=Choice(8, 16))
    with pytest.raises(OutOfSpace, match=message):
        decisions(space, spec)


def test_nothing_is_run_by_reading(tmp_path):
    marker = tmp_path / "ran"
    for text in (
        f"!!python/object/apply:os.system ['touch {marker}']",
        f"x: !!python/object/new:subprocess.Popen [['touch', '{marker}']]",
        "x: !!python/module:this",
    ):
        with pytest.raises(BadInput):
            parse(text, source="text")
    assert not marker.exists()


def test_numbers_dates_and_words_of_yaml_1_1_stay_text():
    text = "{a: no, b: 1_000, c: 2020-01-01, d: 1:30, e: 0x10, f: 010, g: yes, h: .inf, i: Null, j: +1}"
    assert parse(text, source="text") == {
        "a": "no", "b": "1_000", "c": "2020-01-01", "d": "1:30", "e": "0x10", "f": "010", "g": "yes",
        "h": ".inf", "i": "Null", "j": "+1",
    }  # fmt: skip
    assert parse("[1, -2, 1.5, 1e3, .5, true, false, null, ~, '1']", source="text") == [
        1, -2, 1.5, 1000.0, 0.5, True, False, None, None, "1",
    ]  # fmt: skip
    assert json.loads("[1, -2, 1.5, 1e3]") == parse("[1, -2, 1.5, 1e3]", source="text")
