"""The subcommands, a module each: `ARGUMENTS`, `define`, `check` and `run`."""

#: One line of help for each.
SUMMARIES = {
    "compress": "the smallest model and files whose metric stays within a bound",
    "prune": "a model with so many zeros, trained by ADMM",
    "allocate": "one budget, made into a sparsity for each layer",
    "plan": "what each layer would get; nothing is changed",
    "shrink": "the same model without the channels that are zero",
    "export": "a TFLite file, run and compared before it is written",
    "evaluate": "the metrics of a .keras or .tflite file",
    "report": "a model as each of several files: bytes, speed, metric",
    "inspect": "what a TFLite file stores, and how",
}
