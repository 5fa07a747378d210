import gc
import pickle
import weakref
from pathlib import Path

import numpy as np
import pytest
from mazelm.tensors import autograd
from mazelm.tensors.autograd import Tensor, no_grad, softmax_cross_entropy, topological_order


def leaf(data):
    return Tensor(data, requires_grad=True)


def test_the_engine_has_at_most_250_lines():
    assert len(Path(autograd.__file__).read_text(encoding="utf-8").splitlines()) <= 250


def test_by_hand():
    x, y = leaf(3.0), leaf(2.0)
    z = x * y + x**2
    z.backward()
    assert z.item() == 3 * 2 + 3**2
    assert x.grad == 2 + 2 * 3
    assert y.grad == 3


def test_a_value_that_is_used_twice_receives_both_shares():
    x = leaf([1.0, 2.0])
    (x * x * x).sum().backward()
    np.testing.assert_allclose(x.grad, 3 * np.array([1.0, 2.0]) ** 2)
    y = leaf(2.0)
    (y + y).backward()
    assert y.grad == 2


def test_a_diamond_is_walked_once():
    """Thirty doublings in a row have a billion paths; a walk by paths would not end."""
    x = leaf(1.0)
    total = x
    for _ in range(30):
        total = total + total
    total.backward()
    assert x.grad == 2**30


def test_gradients_add_up_until_they_are_set_to_none():
    x = leaf([1.0, 2.0])
    for times in (1, 2, 3):
        (x * 5).sum().backward()
        np.testing.assert_array_equal(x.grad, [5 * times, 5 * times])
    x.grad = None
    (x * 5).sum().backward()
    np.testing.assert_array_equal(x.grad, [5, 5])


def test_backward_again_through_the_same_graph_adds_the_same_gradients():
    x = leaf([1.0, 2.0])
    loss = (x**2).sum()
    loss.backward()
    loss.backward()
    np.testing.assert_array_equal(x.grad, [4, 8])


def test_only_leaves_keep_gradients():
    x = leaf([1.0, 2.0])
    middle = x * 2
    middle.sum().backward()
    assert middle.grad is None


def test_a_leaf_is_its_own_gradient_s_end():
    x = leaf([1.0, 2.0])
    x.backward([3, 4])
    np.testing.assert_array_equal(x.grad, [3.0, 4.0])
    assert x.grad.dtype == np.float64


def test_two_leaves_do_not_share_one_gradient_array():
    x, y = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    gradient = np.ones(2)
    (x + y).backward(gradient)
    x.grad += 10
    np.testing.assert_array_equal(y.grad, [1, 1])
    np.testing.assert_array_equal(gradient, [1, 1])


def test_constants_receive_no_gradient_and_leave_no_graph():
    x, constant = leaf([1.0, 2.0]), Tensor([3.0, 4.0])
    (x * constant).sum().backward()
    assert constant.grad is None
    assert (constant * 2 + np.ones(2)).parents == ()
    assert not (constant * constant).requires_grad


def test_detach_is_a_constant_that_shares_the_numbers():
    x = leaf([1.0, 2.0])
    (x * x.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 2])
    x.data[0] = 7
    assert x.detach().data[0] == 7
    assert np.shares_memory(x.detach().data, x.data)


def test_no_grad_records_nothing_and_ends_with_its_block():
    x = leaf(2.0)
    with no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert (x * 2).parents == ()
    assert (x * 2).requires_grad
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert (x * 2).requires_grad


def test_a_vector_needs_a_gradient_and_gets_the_row_that_it_asks_for():
    x = leaf([1.0, 2.0, 3.0])
    y = x**2
    with pytest.raises(ValueError, match=r"shape \(3,\) needs backward\(gradient\)"):
        y.backward()
    with pytest.raises(ValueError, match=r"of that shape"):
        y.backward(np.ones((3, 1)))
    y.backward([0, 1, 0])
    np.testing.assert_array_equal(x.grad, [0, 4, 0])


def test_one_element_of_any_shape_is_a_loss():
    x = leaf([[5.0]])
    (x * 3).backward()
    np.testing.assert_array_equal(x.grad, [[3]])


def test_what_does_not_depend_on_a_leaf_has_no_backward():
    with pytest.raises(ValueError, match="does not require gradients"):
        Tensor(2.0).backward()
    with pytest.raises(ValueError, match="does not require gradients"):
        (leaf(2.0).detach() * 3).backward()


def test_a_chain_of_a_hundred_thousand_operations(unchecked):
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.00001
    y.backward()
    assert x.grad == pytest.approx(1.00001**100_000)
    seen = weakref.ref(y.parents[0])
    assert seen() is not None
    del y  # nor does taking it down go deeper than Python can call
    gc.collect()
    assert seen() is None


def test_parents_come_before_children():
    x = leaf(2.0)
    a = x * 3
    b = a + x
    c = (a * b).exp()
    order = topological_order(c)
    assert order[0] is x
    assert order[-1] is c
    position = {id(tensor): i for i, tensor in enumerate(order)}
    assert len(position) == len(order) == 5
    for tensor in order:
        for parent in tensor.parents:
            if parent.requires_grad:  # not the 3
                assert position[id(parent)] < position[id(tensor)]


def test_the_graph_can_be_read():
    x = leaf([1.0, 2.0])
    y = (x * 3).sum()
    assert (y.operation, y.parents[0].operation, x.operation) == ("sum", "*", "")
    assert y.parents[0].parents[0] is x
    assert repr(leaf(1.0)) == "Tensor(1.0, requires_grad=True, operation='')"
    assert repr(leaf(1.0) + 1) == "Tensor(2.0, requires_grad=True, operation='+')"


def test_arrays_lists_and_numbers_stand_on_either_side():
    x = leaf([1.0, 2.0])
    for left in (np.array([3.0, 4.0]), [3.0, 4.0], np.float64(3), 3):
        assert isinstance(left * x, Tensor)
        assert isinstance(left - x, Tensor)
        np.testing.assert_array_equal((left - x).data, np.asarray(left) - x.data)
        np.testing.assert_array_equal((left / x).data, np.asarray(left) / x.data)
        np.testing.assert_array_equal((left**x).data, np.asarray(left) ** x.data)
    np.testing.assert_array_equal((np.eye(2) @ x).data, x.data)


def test_single_precision_stays_and_integers_become_double():
    x = leaf(np.array([1.0, 2.0], dtype=np.float32))
    assert (1 + 2 * x / 3 - x**2).data.dtype == np.float32
    assert x.mean().data.dtype == np.float32
    (x * np.ones(2)).sum().backward()  # the product is double, and the gradient single again
    assert x.grad.dtype == np.float32
    assert Tensor([1, 2]).data.dtype == np.float64
    assert Tensor(np.array([True])).data.dtype == np.float64


def test_it_shares_the_memory_of_a_float_array():
    array = np.zeros(3)
    assert np.shares_memory(Tensor(array).data, array)


def test_a_leaf_can_be_pickled():
    again = pickle.loads(pickle.dumps(leaf([1.0, 2.0])))
    assert again.requires_grad
    np.testing.assert_array_equal(again.data, [1, 2])


def test_an_element_that_is_picked_twice_counts_twice():
    x = leaf([1.0, 2.0, 3.0])
    x[[0, 0, 2]].sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 0, 1])


def test_the_mean_of_nothing_is_refused():
    for shape, axis in [((0,), None), ((2, 0), 1), ((0, 3), (0, 1))]:
        with pytest.raises(ValueError, match="to take the mean of"):
            Tensor(np.ones(shape)).mean(axis)
    assert Tensor(np.ones((0, 3))).mean(axis=1).shape == (0,)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="broadcast"):
        leaf(np.ones(2)) + leaf(np.ones(3))
    with pytest.raises(ValueError, match="matmul"):
        leaf(np.ones((2, 3))) @ leaf(np.ones((2, 3)))
    with pytest.raises(ValueError, match="matmul"):
        leaf(2.0) @ leaf(np.ones(2))
    with pytest.raises(ValueError, match="reshape"):
        leaf(np.ones(6)).reshape(4, 2)


def test_cross_entropy_by_hand():
    """Two classes with equal scores: log 2. A sure and right answer: 0."""
    logits = leaf([[0.0, 0.0], [1000.0, 0.0]])
    loss = softmax_cross_entropy(logits, [1, 0])
    assert loss.item() == pytest.approx(np.log(2) / 2)
    loss.backward()
    np.testing.assert_allclose(logits.grad, [[0.25, -0.25], [0, 0]], atol=1e-15)


@pytest.mark.parametrize(
    ("shape", "labels", "said"),
    [
        ((2, 3), [0, 3], "labels must be 0 to 2, got 0 to 3"),
        ((2, 3), [-1, 0], "labels must be 0 to 2, got -1 to 0"),
        ((2, 3), [0], r"logits \(2, 3\) and labels \(1,\)"),
        ((3,), [0, 1, 2], r"logits \(3,\)"),
        ((0, 3), [], r"N at least 1"),
    ],
)
def test_cross_entropy_refuses_what_makes_no_sense(shape, labels, said):
    with pytest.raises(ValueError, match=said):
        softmax_cross_entropy(Tensor(np.zeros(shape)), np.array(labels, dtype=int))


# Every operation as a smooth function of two arrays of the shape (2, 3), for the check by differences.
SMOOTH = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "@": lambda a, b: a @ b.T,
    "@ of a vector": lambda a, b: a[0] @ b.T,
    "@ to a vector": lambda a, b: a @ b[1],
    "broadcast": lambda a, b: a.sum(axis=0) * b[:, :1],
    "sum": lambda a, b: a.sum(axis=1, keepdims=True) * b,
    "mean": lambda a, b: a.mean(axis=0) * b.mean(),
    "exp": lambda a, b: (a + b).exp(),
    "log": lambda a, b: (a * b).log(),
    "tanh": lambda a, b: (a - b).tanh(),
    "relu": lambda a, b: (a - 0.01).relu() * b,
    "reshape": lambda a, b: a.reshape(3, 2) @ b,
    "transpose": lambda a, b: a.transpose(1, 0) * b.reshape(3, 2),
    "index": lambda a, b: a[[0, 0, 1]] * b[1],
    "logsumexp": lambda a, b: (a * b).logsumexp(axis=0),
    "cross-entropy": lambda a, b: softmax_cross_entropy(a * b, [2, 0]),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_agree_with_central_differences(name):
    rng = np.random.default_rng(0)
    data = [rng.uniform(0.5, 1.5, size=(2, 3)) for _ in range(2)]
    leaves = [leaf(array) for array in data]
    result = SMOOTH[name](*leaves)
    weights = rng.normal(size=result.shape)
    result.backward(weights)
    step = 1e-6
    for tensor in leaves:
        for place in np.ndindex(2, 3):
            kept = tensor.data[place]
            values = []
            for moved in (kept + step, kept - step):
                tensor.data[place] = moved
                values.append((SMOOTH[name](*leaves).data * weights).sum())
            tensor.data[place] = kept
            slope = (values[0] - values[1]) / (2 * step)
            got = 0.0 if tensor.grad is None else tensor.grad[place]
            assert got == pytest.approx(slope, rel=1e-7, abs=1e-7)
