"""Files that earlier releases wrote load, wherever the classes live now."""

import json
import pathlib

import keras
import numpy as np
import pytest
from keras import layers

import tf_admm
from tf_admm import constraints
from tf_admm.admm import checkpoints

FILES = pathlib.Path(__file__).parent / "files"
#: All variables of the run that the files are of, as that release had them.
STATE = np.load(FILES / "release_1.npz")


def run():
    """The run that the files of release 1 are of, newly made."""
    inputs = keras.Input((8,))
    x = layers.Dense(12, "relu", name="a")(inputs)
    x = layers.Dropout(0.1, name="drop")(x)
    for name in "bcde":
        x = layers.Dense(12, "relu", name=name)(x)
    model = keras.Model(inputs, layers.Dense(2, "softmax", name="head")(x))
    sets = {
        "a|b": constraints.GlobalSparsity(0.8),
        "c": constraints.Intersection(
            constraints.Sparsity(0.5), constraints.Levels.ternary()
        ),
        "d": constraints.FilterSparsity(0.25),
        "e": constraints.NMSparsity(2, 4),
        "head": constraints.Sparsity(0.5),
    }
    admm = tf_admm.ADMMModel(model, sets, rho=tf_admm.schedules.Cosine(1e-3, 1e-2))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    admm.compile(optimizer, "sparse_categorical_crossentropy")
    admm.optimizer.build(admm.trainable_variables)
    return admm


def assert_restored(admm):
    # That release had none of these.
    later = "changed", "rounds", "pulled", "walked"
    found = [[slot.z, slot.u, slot.settled] for slot in admm._slots]
    held = [v for slot in admm._slots for v in slot.state.variables]
    rest = [v for v in admm.variables if id(v) not in map(id, held)]
    rest = [v for v in rest if v.name not in later]
    variables = [*sum(found, []), *rest]
    for variable, expected in zip(variables, STATE.values(), strict=True):
        np.testing.assert_array_equal(np.array(variable), expected)
    assert admm.phase == "admm"
    admm.finalize()
    assert np.count_nonzero(np.array(admm.model.get_layer("head").kernel)) == 12


def test_a_model_file():
    admm = keras.saving.load_model(FILES / "release_1.keras")
    assert isinstance(admm, tf_admm.ADMMModel)
    assert_restored(admm)


def test_a_weights_file():
    admm = run()
    admm.load_weights(FILES / "release_1.weights.h5", skip_mismatch=False)
    assert_restored(admm)


def test_an_allocation():
    allocation = tf_admm.Allocation.load(FILES / "release_1.json")
    assert len(allocation) == 14 and allocation.pop("n") is None
    assert repr(allocation["b"]) == "BlockSparsity(0.5, block=(4, 1))"
    assert len({type(constraint) for constraint in allocation.values()}) == 13


def described(entry):
    return json.dumps([entry | {"kernels": [0], "shapes": [[8, 12]]}])


def test_files_are_told_by_registered_names_and_parsed_configs():
    """Not by module paths, nor by which keys a config has had."""
    half = keras.saving.serialize_keras_object(constraints.NMSparsity(2, 4))
    moved = half | {"module": "tf_admm.of_an_earlier_release"}
    fewer = half | {"config": {"n": 2, "m": 4}}
    other = half | {"config": {"n": 1, "m": 4}}
    meaning = checkpoints.meaning(described({"constraint": half}))
    for same in (moved, fewer):
        assert checkpoints.meaning(described({"constraint": same})) == meaning
    assert checkpoints.meaning(described({"constraint": other})) != meaning


def test_a_file_of_other_constraints_is_refused():
    admm = tf_admm.ADMMModel(run().model, constraints.Sparsity(0.5))
    admm.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="same model and constraints"):
        admm.load_weights(FILES / "release_1.weights.h5")
