"""The files of a run: made, measured, chosen from, and written."""

import os
import shutil
import tempfile

from tf_admm import files
from tf_admm.compression import families
from tf_admm.compression.report import CompressionReport
from tf_admm.compression.stages import aim
from tf_admm.export.tflite.signature import Signature
from tf_admm.reporting import DeploymentReport
from tf_admm.reporting import page
from tf_admm.reporting import variants
from tf_admm.reporting.frontier import Point
from tf_admm.reporting.judging import Judge
from tf_admm.reporting.running import Runner
from tf_admm.structure import kernels
from tf_admm.structure import kinds
from tf_admm.tables.summary import Summary

#: What the metric may lose between the float32 file and the one to ship, where the
#: goal is a size.
OF_TYPES = 0.005


def made(dense, model, data, objective, goal, family, run, bar):
    """Measure the files of the result, and write all of it to the run's folder.

    Args:
        dense: the dense model, compiled.
        model: the result.
        data: a `batches.Data`.
        objective, goal, family, run, bar: those of `stages.Stages`.

    Returns:
        A `CompressionReport`.
    """
    bar.say("making and measuring files")
    with tempfile.TemporaryDirectory() as folder:
        prefix = _prefix(dense, model, run.stages)
        deployment = _deployment(dense, model, data, objective, goal, folder, prefix)
        chosen = deployment.choice()
        test = None
        if data.test is not None:
            paths = {"dense": deployment.variants[0].name, "chosen": chosen.name}
            test = _tested(dense, data.test, objective.name, folder, paths)
        written = _kept(folder, deployment, run)
    report = CompressionReport(
        goal=str(goal),
        metric=objective.name,
        dense=objective.dense,
        noun=family.noun,
        left=_left(dense, model, data),
        stages=[
            {key: value for key, value in stage.items() if key != "history"}
            for stage in run.stages
        ],
        deployment=deployment,
        files=written,
        test=test,
        minutes=run.minutes + bar.minutes,
        is_aside=data.is_aside,
    )
    if run.is_kept:
        _write(report, model, run, objective, goal, family)
    return report


def _left(dense, model, data):
    """The shares that the result has of all weights and multiplications, measured."""
    signature = Signature(dense)
    samples = signature.pack(signature.match(data.samples))
    found = [families.Channels(dense, samples), families.Weights(dense, samples)]
    return {each.noun: each.left(model) for each in found if each.total}


def _prefix(dense, model, stages):
    """What the names of the result's files begin with; nothing of the dense model."""
    if any(stage["meets"] for stage in stages):
        return "pruned "
    return "shrunk " if model.count_params() < dense.count_params() else ""


def _plans(dense, model, samples, prefix):
    """What to write of both: the dense model as float32 first, and as int8."""
    first = {"dense float32": (dense, {"sparse": False, "samples": samples})}
    own = variants.plans(model, samples, samples, prefix)
    if not prefix:
        own["dense int8"] = own.pop("int8")
        return own | first
    options = {"dtype": "int8", "representative": samples, "sparse": False}
    return first | {"dense int8": (dense, options)} | own


def _deployment(dense, model, data, objective, goal, folder, prefix):
    """The files of the dense model and of the result, measured side by side."""
    judge = Judge(dense, data.validation, objective.name, Signature(dense).batch)
    signature = Signature(dense)
    rows = signature.match(data.samples)
    samples = signature.pack(rows)
    wanted = _plans(dense, model, samples, prefix)
    made, failed = variants.written(wanted, folder, samples)
    size = signature.batch or 1
    variants.measure(made, [x[:size] for x in rows], judge)
    found = [variant for variant, _ in made]
    lost = 0.0 if goal.is_searched else _lost(found, objective)
    for variant in found:
        variant.is_candidate = variant.name != "dense int8" or not prefix
    return DeploymentReport(
        variants=found,
        failed=failed,
        summary=Summary(model),
        prospects={k.path: kinds.prospect(k) for k in kernels.find(model)},
        metric=judge.name,
        better=objective.better,
        max_drop=goal.value if goal.is_searched else lost + OF_TYPES,
        lost=lost,
        uses=variants.used(model, samples),
        least_speed=goal.value if goal.name == "speed" else 0.0,
    )


def _lost(found, objective):
    """How much worse than the dense file the best of the others in float32 is."""
    pruned = [v.metric for v in found[1:] if v.dtype == "float32"]
    drops = [objective.drop(value) for value in pruned]
    return max(min(drops, default=0.0), 0.0)


def _tested(dense, data, metric, folder, names):
    """The metric on the test data, of files by their names."""
    signature = Signature(dense)
    judge = Judge(dense, data, metric, signature.batch)
    values = {}
    for key, name in names.items():
        runner = Runner(os.path.join(folder, variants.file_name(name)), signature)
        values[key] = judge.value(runner.answers(judge.outputs))
    return values


def _kept(folder, deployment, run):
    """Copy the files that may be shipped to the run's folder."""
    if not run.is_kept:
        return {}
    paths, (dense, *others) = {}, deployment.variants
    kept = [dense] if deployment.choice() is dense else []
    for variant in kept + [other for other in others if other.is_candidate]:
        name = variants.file_name(variant.name)
        paths[variant.name] = os.path.join(run.folder, name)
        with files.replacing(paths[variant.name]) as temporary:
            shutil.copy(os.path.join(folder, name), temporary)
    return paths


def _write(report, model, run, objective, goal, family):
    run.save_model(model, os.path.join(run.folder, "model.keras"))
    points = [Point("dense", 1.0, objective.dense, True)]
    points += [
        Point(aim(s), s["left"], s["metric"], s["meets"], s["why"])
        for s in run.stages
        if s["metric"] is not None
    ]
    best = [stage for stage in run.stages if stage["meets"]]
    page.write(
        os.path.join(run.folder, "report.html"),
        model,
        report.deployment,
        history=_joined([stage["history"] for stage in best]) or None,
        frontier=points,
        frontier_unit=family.unit,
        bound=objective.bound(goal.value) if goal.is_searched else None,
        headline=report.headline,
        beside=True,
    )
    run.finish(report.record())


def _joined(histories):
    """One history of those that led to the result."""
    joined = {}
    for history in histories:
        for name, values in history.items():
            joined.setdefault(name, []).extend(values)
    return joined
