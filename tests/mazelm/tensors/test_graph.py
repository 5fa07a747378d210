"""The layout of a computation graph: by hand, by definition, under changes that must not matter, on bad input."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tensors.autograd import Tensor, no_grad
from mazelm.tensors.graph import Edge, layered_graph


def by_label(graph):
    return {node.label: node for node in graph.nodes}


def random_expression(draw):
    """Sums and products of earlier tensors, some of them constants; the last uses whatever has no child yet."""
    tensors = [Tensor(float(i + 1), requires_grad=draw(st.booleans())) for i in range(draw(st.integers(1, 4)))]
    for _ in range(draw(st.integers(1, 12))):
        first, second = (tensors[draw(st.integers(0, len(tensors) - 1))] for _ in range(2))
        tensors.append(first + second if draw(st.booleans()) else first * second)
    return tensors[-1]


def longest_ways(graph):
    """The depth of each node by walking every path to the result."""
    children = {i: [e.target for e in graph.edges if e.source == i] for i in range(len(graph.nodes))}

    def walk(i):
        return max((1 + walk(child) for child in children[i]), default=0)

    return [walk(i) for i in range(len(graph.nodes))]


# --- by hand


def test_one_neuron_by_hand():
    w, x, target = Tensor(3.0, requires_grad=True), Tensor(2.0), Tensor(-10.0)
    error = w * x + target
    graph = layered_graph(error * error, names={"w": w, "x": x, "−y": target, "e": error})
    assert [node.label for node in graph.nodes] == ["w", "x", "*", "−y", "e", "*"]
    assert [node.depth for node in graph.nodes] == [3, 3, 2, 2, 1, 0]
    places = [(0, 0), (0, -1), (1, -0.25), (1, -1.25), (2, -0.75), (3, -0.75)]  # e is level with p and −y together
    assert [node.position for node in graph.nodes] == places
    assert graph.edges == (Edge(0, 2), Edge(1, 2), Edge(2, 4), Edge(3, 4), Edge(4, 5), Edge(4, 5))


def test_what_a_node_says_of_its_tensor():
    weights, inputs = Tensor(np.ones((3, 2)), requires_grad=True), Tensor(np.ones((5, 3)))
    graph = layered_graph((inputs @ weights).sum(axis=0))
    constant, parameter, product, total = graph.nodes
    assert (constant.label, constant.operation, constant.shape, constant.requires_grad) == (
        "constant",
        "",
        (5, 3),
        False,
    )
    assert (parameter.label, parameter.operation, parameter.shape) == ("parameter", "", (3, 2))
    assert (product.label, product.operation, product.shape, product.requires_grad) == ("@", "@", (5, 2), True)
    assert (total.label, total.operation, total.shape) == ("sum", "sum", (2,))


def test_labels_of_constants():
    x = Tensor(np.ones(3), requires_grad=True)
    labels = {node.label for node in layered_graph((x * Tensor(np.ones(3)) * -1.5 + 1e-6).mean()).nodes}
    assert {"parameter", "constant", "−1.5", "1e−06", "3"} <= labels


def test_a_name_replaces_the_label_and_not_the_operation():
    x = Tensor(1.0, requires_grad=True)
    y = x.exp()
    assert [(n.label, n.operation) for n in layered_graph(y, names={"y": y}).nodes] == [("parameter", ""), ("y", "exp")]


def test_a_skipping_edge_takes_the_longest_way():
    x = Tensor(0.5, requires_grad=True)
    graph = layered_graph(x.exp().tanh().log() * x, names={"x": x})
    assert by_label(graph)["x"].depth == 4
    assert [node.position[0] for node in graph.nodes] == [0, 1, 2, 3, 4]


def test_two_operations_on_one_tensor_do_not_cover_each_other():
    x = Tensor(0.5, requires_grad=True)
    nodes = by_label(layered_graph(x.exp() + x.tanh()))
    assert nodes["parameter"].position == (0, -0.5)
    assert nodes["exp"].position == (1, 0)
    assert nodes["tanh"].position == (1, -1)
    assert nodes["+"].position == (2, -0.5)


def test_a_row_of_layers_stays_level():
    x, weights = Tensor(np.ones((2, 3))), [Tensor(np.eye(3), requires_grad=True) for _ in range(6)]
    y = x
    for weight in weights:
        y = (y @ weight).tanh()
    rows = [node.position[1] for node in layered_graph(y).nodes]
    assert max(rows) == 0
    assert min(rows) > -2


def test_every_layer_looks_alike():
    x = Tensor(np.ones((2, 3)))
    for _ in range(5):
        matrix, bias = (Tensor(np.ones(shape), requires_grad=True) for shape in ((3, 3), (3,)))
        x = (x @ matrix + bias).tanh()
    columns = {}
    for node in layered_graph(x).nodes:
        columns.setdefault(node.position[0], []).append((node.position[1], node.operation))
    tops = [max(rows)[1] for column, rows in sorted(columns.items()) if column > 0]
    assert tops == ["@", "+", "tanh"] * 5  # the parameters stand below


def test_a_long_edge_stays_in_its_row():
    w, x, minus_target = Tensor(3.0, requires_grad=True), Tensor(2.0), Tensor(-10.0)
    error = w * x + minus_target
    squared, penalty = error * error, w * w
    nodes = by_label(layered_graph(squared + penalty, names={"w": w, "s": squared, "r": penalty}))
    assert nodes["r"].position == (3, 0)  # above s, because w is above what s was computed from
    assert nodes["s"].position == (3, -1)
    assert nodes["w"].position[1] > -0.25


def test_rows_far_apart_are_left_where_they_are():
    a, b, c, d = (Tensor(1.0, requires_grad=True) for _ in range(4))
    nodes = layered_graph((a + b) * (c + d)).nodes
    assert [node.position[1] for node in nodes if node.operation == "+"] == [-0.5, -2.5]


def test_order_in_a_column_follows_the_parents():
    a, b = Tensor(1.0, requires_grad=True), Tensor(2.0, requires_grad=True)
    upper, lower = a.exp(), b.log()
    for result in (upper * lower, lower * upper):
        first = result.parents[0]
        nodes = {node.label: node for node in layered_graph(result, names={"first": first}).nodes}
        second = nodes["log"] if first is upper else nodes["exp"]
        assert nodes["first"].position == (1, 0)
        assert second.position == (1, -1)


# --- at the limits


def test_a_leaf_alone():
    graph = layered_graph(Tensor([1.0, 2.0], requires_grad=True))
    assert [(n.label, n.depth, n.position) for n in graph.nodes] == [("parameter", 0, (0.0, 0.0))]
    assert graph.edges == ()


def test_without_gradients_nothing_is_remembered():
    x = Tensor(2.0, requires_grad=True)
    with no_grad():
        forgotten = x * x
    for one in (forgotten, Tensor(1.0) + Tensor(2.0), (x * x).detach()):
        assert [node.operation for node in layered_graph(one).nodes] == [""]


def test_a_chain_of_5_000_operations():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y * 1.0
    graph = layered_graph(y)
    assert len(graph.nodes) == 10_001
    assert len(graph.edges) == 10_000
    assert graph.nodes[0].depth == 5_000
    assert graph.nodes[-1].position[0] == 5_000


# --- by definition, on random graphs


@given(st.data())
def test_layout_of_random_graphs(data):
    result = random_expression(data.draw)
    graph = layered_graph(result)
    assert all(edge.source < edge.target for edge in graph.edges)
    assert [node.depth for node in graph.nodes] == longest_ways(graph)
    assert graph.nodes[-1].depth == 0
    assert [node.depth for node in graph.nodes].count(0) == 1
    columns = {}
    for node in graph.nodes:
        column, row = node.position
        assert column == graph.nodes[-1].position[0] - node.depth
        columns.setdefault(column, []).append(row)
    for rows in columns.values():
        gaps = (abs(a - b) for a, b in itertools.combinations(rows, 2))
        assert min(gaps, default=1) > 1 - 1e-9
    assert sorted(columns) == list(range(len(columns)))


@given(st.data())
def test_every_use_is_an_edge(data):
    result = random_expression(data.draw)
    graph = layered_graph(result)
    seen, uses, stack = set(), 0, [result]
    while stack:
        one = stack.pop()
        if id(one) not in seen:
            seen.add(id(one))
            uses += len(one.parents)
            stack.extend(one.parents)
    assert (len(graph.nodes), len(graph.edges)) == (len(seen), uses)
    targets = [edge.target for edge in graph.edges]
    for i, node in enumerate(graph.nodes):
        assert targets.count(i) == (2 if node.operation else 0)


def test_values_do_not_matter():
    def layout(scale):
        x, w = Tensor(np.full((2, 3), scale)), Tensor(np.full((3, 3), scale), requires_grad=True)
        return layered_graph(((x @ w).tanh() @ w).mean(), names={"x": x, "w": w})

    assert layout(0.1) == layout(-7.0)


# --- bad input


def test_names_of_strangers_and_second_names():
    x = Tensor(2.0, requires_grad=True)
    with pytest.raises(ValueError, match="names has 'z', which is no tensor of this graph"):
        layered_graph(x * x, names={"x": x, "z": Tensor(2.0)})
    with pytest.raises(ValueError, match="names calls one tensor both 'x' and 'again'"):
        layered_graph(x * x, names={"x": x, "again": x})
