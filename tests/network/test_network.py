"""Networks: shorthand, files, and what is refused."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterpillar.checks import SpecError, UsageError
from caterpillar.network import PAPER_NETWORKS, Network, parse_network

SIZES = st.lists(st.integers(1, 65536), min_size=1, max_size=20)


@given(sizes=SIZES)
def test_shorthand_and_name_are_inverse(sizes: list[int]):
    text = "-".join(map(str, sizes))
    network = parse_network(text)
    assert network.sizes == (784, *sizes)
    assert network.name == text


@given(sizes=st.lists(st.integers(1, 999), min_size=2, max_size=9))
def test_layers_chain_from_input_to_output(sizes: list[int]):
    network = Network.mlp(*sizes)
    assert network.depth == len(sizes) - 1
    assert [layer.index for layer in network.layers] == list(range(1, network.depth + 1))
    assert [layer.inputs for layer in network.layers] == sizes[:-1]
    assert [layer.outputs for layer in network.layers] == sizes[1:]
    assert network.weights == sum(m * n for m, n in itertools.pairwise(sizes))
    assert (network.inputs, network.outputs) == (sizes[0], sizes[-1])


def test_the_papers_networks_by_hand():
    assert list(PAPER_NETWORKS) == [
        "500-500-500-10",
        "500-500-500-500-10",
        "500-500-500-500-500-10",
        "2500-2000-1500-1000-500-10",
    ]
    assert PAPER_NETWORKS["500-500-500-10"].weights == 784 * 500 + 2 * 500 * 500 + 500 * 10


@pytest.mark.parametrize("text", ["500-abc", "", "-", "500--10", "500-10-", "-5-10", "5.5-10", "500 10", "५-10", "1e3"])
def test_bad_shorthand(text: str):
    with pytest.raises(UsageError, match=r"^--network must be layer sizes joined with dashes, such as 500-500-500-10"):
        parse_network(text)


@pytest.mark.parametrize("size", [0, 65537, -3, 2.0, "10", True, None])
def test_sizes_out_of_limits(size: object):
    with pytest.raises(SpecError, match=r"^Network.sizes must be an int in \[1, 65536\] neurons, got "):
        Network(sizes=(784, size))  # type: ignore[arg-type]


def test_too_few_and_too_many_layers():
    for count in (0, 1, 65):
        with pytest.raises(SpecError, match=rf"^Network.sizes must have 2 to 64 entries \(input first\), got {count}$"):
            Network(sizes=(7,) * count)


def test_an_unknown_activation():
    with pytest.raises(SpecError, match=r"^Network.activation must be one of relu, tanh, sigmoid, got 'gelu'$"):
        Network.mlp(2, 2, activation="gelu")  # type: ignore[arg-type]


def test_a_file(tmp_path: Path):
    path = tmp_path / "net.toml"
    path.write_text('sizes = [4, 3, 2]\nactivation = "tanh"\n')
    assert parse_network(str(path)) == Network.mlp(4, 3, 2, activation="tanh")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sizes = [4, 2]\nbias = true", r"net.toml: unknown key 'bias'; allowed are sizes, activation$"),
        ("activation = 'relu'", r"net.toml: sizes must be a list of neurons, input first, got None$"),
        ("sizes = 5", r"net.toml: sizes must be a list of neurons, input first, got 5$"),
        ("sizes = [4, 'two']", r"Network.sizes must be an int in \[1, 65536\] neurons, got 'two'$"),
        ("sizes = [4, [2]]", r"Network.sizes must be an int in \[1, 65536\] neurons, got \[2\]$"),
        ("sizes = [4, 2]\nactivation = 3", r"Network.activation must be one of relu, tanh, sigmoid, got 3$"),
        ("sizes = [4, 2]\nactivation = [1]", r"Network.activation must be one of relu, tanh, sigmoid, got \[1\]$"),
        ("sizes = [", r"^--network file .*net.toml is not TOML: "),
        ("sizes = [1, 2]\nsizes = [1, 2]", r"is not TOML: "),
    ],
)
def test_bad_files(tmp_path: Path, content: str, message: str):
    path = tmp_path / "net.toml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        parse_network(str(path))


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(UsageError, match=r"^--network file .*none.toml cannot be read: No such file or directory$"):
        parse_network(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"sizes = '\xe9'")
    with pytest.raises(UsageError, match=r"latin.toml is not TOML: "):
        parse_network(str(tmp_path / "latin.toml"))
