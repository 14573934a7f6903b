"""machines, rules, networks, datasets: what there is, as tables and as JSON."""

from caterpillar.machine import MACHINES, Machine
from caterpillar.network import PAPER_NETWORKS
from caterpillar.rules import RULES


def test_machines(run):
    listed = run("machines", "--json").document["machines"]
    assert [Machine(**machine) for machine in listed] == list(MACHINES.values())
    table = run("machines").out
    assert "paper-a" in table
    assert "4 x 4" in table


def test_rules(run):
    listed = run("rules", "--json").document["rules"]
    assert [rule["name"] for rule in listed] == list(RULES)
    assert [rule["name"] for rule in listed if not rule["batched"]] == ["sgd", "cp"]
    assert all(rule["summary"] for rule in listed)
    assert "Stochastic gradient descent" in run("rules").out


def test_networks(run):
    listed = run("networks", "--json").document["networks"]
    assert [(n["name"], tuple(n["sizes"]), n["weights"]) for n in listed] == [
        (name, network.sizes, network.weights) for name, network in PAPER_NETWORKS.items()
    ]
    assert "897,000" in run("networks").out


def test_datasets(run):
    (mnist,) = run("datasets", "--json").document["datasets"]
    assert (mnist["name"], mnist["train_images"], mnist["test_images"], mnist["classes"]) == ("mnist", 60000, 10000, 10)
    assert "LeCun" in run("datasets").out
