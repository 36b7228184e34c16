"""Data of every kind that the command reads, beside NumPy and Keras."""

import keras
import numpy as np
import pytest

from tf_admm_cli import data
from tf_admm_cli import objective
from tf_admm_cli.problems import BadInput
from tf_admm_cli.spec import Spec
from tf_admm_cli.spec import of_model

L = keras.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 3)).astype("float32"), np.arange(20) % 3


def spec(*shape, outputs=3):
    return Spec({"in": (None, *shape)}, {"y": (None, outputs)}, 0, 0)


def load(*paths, of=None, **options):
    reading = data.Reading("DATA", of or spec(3), **options)
    return data.load([str(path) for path in paths], reading)


NAMES = {
    "short": {"x": X, "y": Y},
    "capital": {"X": X, "Y": Y},
    "train": {"x_train": X, "y_train": Y},
    "of the input": {"in": X, "y": Y},
    "unnamed": {"arr_0": X, "arr_1": Y},
}


@pytest.mark.parametrize("arrays", NAMES.values(), ids=NAMES)
def test_names_in_an_npz(arrays, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    x, y = load(tmp_path / "data.npz").train
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def test_parts_and_weights_of_an_npz(tmp_path):
    weights = np.ones(20)
    parts = {"x_val": X[:5], "y_val": Y[:5], "x_test": X[:7], "y_test": Y[:7]}
    np.savez(tmp_path / "data.npz", x=X, y=Y, sample_weight=weights, **parts)
    found = load(tmp_path / "data.npz")
    np.testing.assert_array_equal(found.train[2], weights)
    assert found.rows == {"train": 20, "validation": 5, "test": 7}
    assert found.held_out == "test"


def test_a_pair_of_npy_files_and_a_scale(tmp_path):
    np.save(tmp_path / "x.npy", (X * 100).astype("int32"))
    np.save(tmp_path / "y.npy", Y)
    x, y = load(tmp_path / "x.npy", tmp_path / "y.npy", scale=0.5).train
    np.testing.assert_array_equal(x, (X * 100).astype("int32") * np.float32(0.5))
    assert x.dtype == "float32" and len(y) == 20


SHAPES = {
    "as it is": ((4, 4, 1), (4, 4, 1)),
    "no channel": ((4, 4, 1), (4, 4)),
    "flat": ((4, 4, 1), (16,)),
    "open": ((None, None, 3), (5, 6, 3)),
}


@pytest.mark.parametrize("wanted, given", SHAPES.values(), ids=SHAPES)
def test_shapes_that_can_be_mended(wanted, given, tmp_path):
    x = RNG.normal(size=(6, *given))
    np.savez(tmp_path / "data.npz", x=x, y=Y[:6])
    found, _ = load(tmp_path / "data.npz", of=spec(*wanted)).train
    np.testing.assert_array_equal(np.ravel(found), np.ravel(x))
    assert len(found.shape) == len(wanted) + 1


@pytest.mark.parametrize("nest", [list, dict])
def test_files_of_several_inputs_and_outputs(nest, tmp_path):
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    both = L.Concatenate()([a, b])
    u, v = L.Dense(1, name="u")(both), L.Dense(2, name="v")(both)
    inputs, outputs = ([a, b], [u, v]) if nest is list else ({"a": a, "b": b}, [u, v])
    model = keras.Model(inputs, outputs)
    arrays = {"a": X[:, :2], "b": X, "u": X[:, :1], "v": X[:, :2]}
    np.savez(tmp_path / "data.npz", **arrays)
    x, y = load(tmp_path / "data.npz", of=of_model(model)).train
    assert type(x) is nest and type(y) is list
    expected = {"a": X[:, :2], "b": X}
    for key, value in zip("ab" if nest is dict else (0, 1), expected.values()):
        np.testing.assert_array_equal(x[key], value)
    model.compile("sgd", ["mse", "mse"], run_eagerly=True)
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()


TABLES = {
    "header": ("a,b,c,y\n", ",", {}),
    "no header": ("", ",", {}),
    "semicolons": ("a;b;c;y\n", ";", {}),
    "tabs": ("a\tb\tc\ty\n", "\t", {"target": "y"}),
}


@pytest.mark.parametrize("head, separator, options", TABLES.values(), ids=TABLES)
def test_tables(head, separator, options, tmp_path):
    lines = (separator.join([*map(repr, map(float, x)), str(y)]) for x, y in zip(X, Y))
    (tmp_path / "data.csv").write_text(head + "\n".join(lines))
    x, y = load(tmp_path / "data.csv", **options).train
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)


def test_a_table_with_labels_of_text(tmp_path, capsys):
    names = np.array(["dog", "cat", "eel"])[Y]
    lines = [f"{name},{','.join(map(str, x))}" for name, x in zip(names, X)]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["kind,a,b,c", *lines]))
    found = load(path, target="kind")
    _, expected = np.unique(names, return_inverse=True)
    np.testing.assert_array_equal(found.train[1], expected)
    assert "Note: " in capsys.readouterr().err and found.classes == sorted(set(names))
    path.write_text("\n".join(["kind,a,b,c", "eel,1,2,3", "dog,1,2,3"]))
    again = load(path, target="kind", classes=found.classes)
    np.testing.assert_array_equal(again.train[1], [2, 1])
    path.write_text("\n".join(["kind,a,b,c", "cow,1,2,3"]))
    with pytest.raises(BadInput, match="Received: cow"):
        load(path, target="kind", classes=found.classes)


def test_inputs_alone(tmp_path):
    np.save(tmp_path / "x.npy", X)
    reading = data.Reading("--representative", spec(3))
    np.testing.assert_array_equal(data.inputs([str(tmp_path / "x.npy")], reading), X)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for kind, level in (("cat", 50), ("dog", 200)):
        (folder / kind).mkdir()
        for i in range(10):
            image = np.full((6, 8, 3), level + i, "uint8")
            keras.utils.save_img(folder / kind / f"{i}.png", image, scale=False)
    return folder


def test_a_folder_of_images(pictures):
    found = load(pictures, of=spec(4, 4, 3, outputs=2), scale=0.01)
    assert found.classes == ["cat", "dog"]
    assert found.rows == {"train": 18, "validation": 2}
    x, y = (np.concatenate(z) for z in zip(*found.train.as_numpy_iterator()))
    assert x.shape == (18, 4, 4, 3)
    # All pixels of an image are the same, and so they stay.
    np.testing.assert_array_equal(np.round(x[:, 0, 0, 0]) > 1, y == 1)
    np.testing.assert_allclose(x[:, 0, 0, 0], x[:, 3, 3, 2])
    assert x.max() <= 2.1


def test_too_many_folders_of_images(pictures):
    (pictures / "eel").mkdir(exist_ok=True)
    with pytest.raises(BadInput, match="Received: 3: cat, dog, eel"):
        load(pictures, of=spec(4, 4, 3, outputs=2))
    (pictures / "eel").rmdir()


def test_a_broken_image_is_named(pictures):
    path = pictures / "dog" / "broken.png"
    path.write_bytes((pictures / "dog" / "0.png").read_bytes()[:40])
    with pytest.raises(BadInput, match=f"Received: {path}, which can't"):
        load(pictures, of=spec(4, 4, 3, outputs=2))
    path.unlink()


CELLS = {
    "empty": (" ", "no empty cells. Received: one in b, row 2"),
    "text": ("NA", "Received: 'NA' in b, row 2$"),
    "a comma": ("1,5", "Received: '1,5' in b, row 2; decimals have a point"),
}


@pytest.mark.parametrize("cell, message", CELLS.values(), ids=CELLS)
def test_cells_that_are_no_numbers(cell, message, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(f"a;b;c;y\n1;2;3;0\n1;{cell};3;1\n")
    with pytest.raises(BadInput, match=message):
        load(path)


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


Z = RNG.normal(size=(20, 3))
OBJECTIVES = {
    "logits": (Z, Y, "SparseCategoricalCrossentropy", "accuracy"),
    "probabilities": (softmax(Z), Y, "SparseCategoricalCrossentropy", "accuracy"),
    "a column": (softmax(Z), Y[:, None], "SparseCategoricalCrossentropy", "accuracy"),
    "yes or no": (softmax(Z)[:, :1], Y % 2, "BinaryCrossentropy", "accuracy"),
    "either, of several": (
        1 / (1 + np.exp(-Z)), Z > 0.5, "BinaryCrossentropy", "accuracy"
    ),
    "places": (
        Z.reshape(5, 4, 3), Y.reshape(5, 4), "SparseCategoricalCrossentropy", "accuracy"
    ),
    "one of several": (Z, np.eye(Z.shape[1])[Y], "CategoricalCrossentropy", "accuracy"),
    "numbers": (Z[:, :1], X[:, 0], "mse", "mae"),
    "several numbers": (Z, X, "mse", "mae"),
}  # fmt: skip


@pytest.mark.parametrize(
    "outputs, y, expected, metric", OBJECTIVES.values(), ids=OBJECTIVES
)
def test_objectives_of_outputs_and_labels(outputs, y, expected, metric):
    loss, found = objective.inferred(outputs, y)
    assert getattr(loss, "__class__", loss).__name__ in (expected, "str")
    assert expected in (loss, type(loss).__name__)
    assert getattr(found, "name", found) == metric
    if expected.startswith("Sparse"):
        labels = np.ravel(y)
        right = -np.log(softmax(Z)[np.arange(20), labels]).mean()
        assert float(loss(y, outputs)) == pytest.approx(right, rel=1e-5)
    if expected.startswith("Binary"):
        right = np.mean((outputs > 0.5) == np.reshape(y, outputs.shape))
        assert float(found(np.reshape(y, outputs.shape), outputs)) == approx(right)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_accuracy_of_each_of_several_by_logits_or_shares(shift):
    outputs, y = Z if not shift else 1 / (1 + np.exp(-Z)), Z > RNG.normal(size=Z.shape)
    _, metric = objective.named("binary_crossentropy", outputs)
    assert float(metric(y, outputs)) == approx(np.mean((outputs > shift) == y))


def approx(value):
    return pytest.approx(float(value), rel=1e-5)


def test_losses_have_names():
    loss = {"a": "mse", "b": keras.losses.Huber(name="of_b")}
    assert objective.title(loss) == "mean_squared_error, of_b"
    assert objective.title("mse") == "mean_squared_error"


def test_no_objective_can_be_told():
    with pytest.raises(BadInput, match="^--loss: "):
        objective.inferred(Z, X[:, :2])


@pytest.mark.parametrize("rows, aside", [(20, 2), (5, 1), (2, 1)])
def test_a_tenth_is_set_aside(rows, aside):
    found = data.Data((X[:rows], Y[:rows]), rows={"train": rows})
    train, validation = data.split(found, seed=0)
    assert len(validation[0]) == len(validation[1]) == aside
    together = np.concatenate([train[0], validation[0]])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(X[:rows], axis=0))


@pytest.mark.parametrize(
    "layers, noted", [([], True), ([L.Rescaling(1 / 255)], False)], ids=["no", "yes"]
)
def test_images_that_the_model_may_not_expect(layers, noted, capsys):
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers, L.Flatten()])
    x = RNG.integers(0, 256, (8, 4, 4, 1))
    found = data.Data((x, Y[:8]), rows={"train": 8})
    data.warn_of_scale(found, model, None)
    assert ("--scale=0.00392157" in capsys.readouterr().err) == noted
    data.warn_of_scale(found, model, 1.0)
    assert not capsys.readouterr().err
