"""Flags: what every command has, how they are read, and their help."""

import re
import shutil
import textwrap
import types

from absl import flags

from tf_admm_cli.problems import BadInput

#: How help writes what a flag takes.
TYPES = {"float": "NUMBER", "int": "N", "string": "NAME"}
PATHS = ("output", "html", "history", "constraints")
#: What messages expect of a flag whose value is of another type.
EXPECTED = {"float": "a number", "int": "a whole number", "bool": "true or false"}


def common(values):
    """The flags of every command."""
    flags.DEFINE_bool(
        "json", False, "Print the result as JSON, and nothing else.", flag_values=values
    )
    flags.DEFINE_integer(
        "verbosity",
        0,
        "1 to show what TensorFlow and the other libraries print.",
        lower_bound=0,
        upper_bound=1,
        flag_values=values,
    )


def models(values):
    """The flags of commands that load a model."""
    flags.DEFINE_list(
        "import",
        [],
        "Modules that define the model's own layers, losses or metrics, to import "
        "first; also from this folder.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Seed of all that is random.", lower_bound=0, flag_values=values
    )


def data(values):
    """The flags of commands that read data."""
    flags.DEFINE_string(
        "target", None, "CSV: the column of labels; the last one.", flag_values=values
    )
    flags.DEFINE_float(
        "scale",
        None,
        "Multiply inputs by this, such as 0.00392157 to bring 0...255 to 0...1.",
        flag_values=values,
    )


def goals(values):
    """The flags of how a model is judged."""
    flags.DEFINE_string(
        "loss",
        None,
        "Compile the model by this Keras loss; by its own, or else by what its labels "
        "and outputs say.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "metric",
        None,
        "Name of the metric that counts; the first that the model is compiled with.",
        flag_values=values,
    )


def sparsity(values):
    """The flags of how much is to be zero."""
    flags.DEFINE_float(
        "sparsity",
        0.9,
        "Fraction of zeros of all kernels together, which compete for what is kept.",
        lower_bound=0,
        upper_bound=1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "ratio",
        None,
        "The same as weights over weights kept: 10 is --sparsity=0.9.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_string(
        "constraints",
        None,
        "JSON of the set of each layer, as `tf-admm allocate` writes it.",
        flag_values=values,
    )


def structure(values, names, default):
    """`--structure`."""
    flags.DEFINE_enum(
        "structure",
        default,
        names,
        "What is left out: single weights or whole channels"
        f"{', or one after the other' if 'both' in names else ''}.",
        flag_values=values,
    )


def representative(values):
    """`--representative`."""
    flags.DEFINE_list(
        "representative",
        [],
        "Data whose inputs int8 is calibrated on, such as the training data.",
        flag_values=values,
    )


def output(values, default, text):
    """`--output` and `--overwrite`."""
    flags.DEFINE_string("output", default, text, flag_values=values)
    flags.DEFINE_bool(
        "overwrite", False, "Replace what is there already.", flag_values=values
    )


def parsed(name, command, argv):
    """A namespace of the flags, with the list `arguments`.

    The set `present` holds the names of the flags that were given.

    Raises:
        BadInput: if a flag is not known, or of another type; or if there are too few
            or too many arguments.
    """
    values = defined(command)
    try:
        arguments = values([name, *map(_underscored, argv)])[1:]
    except flags.UnrecognizedFlagError as error:
        raise BadInput(f"--{error.flagname}", _unknown(error, name)) from None
    except flags.Error as error:
        raise BadInput(*_illegal(str(error), values)) from None
    _check_count(command.ARGUMENTS, arguments)
    found = values.flag_values_dict()
    # No attribute can be called `import`.
    found["imports"] = found.pop("import", [])
    present = {flag for flag in values if values[flag].present}
    return types.SimpleNamespace(arguments=arguments, present=present, **found)


def defined(command):
    """The `FlagValues` of a command."""
    values = flags.FlagValues()
    # Flags may stand before, between and after the arguments.
    values.set_gnu_getopt(True)
    command.define(values)
    common(values)
    return values


def _underscored(argument):
    """`--max-drop=0.1` -> `--max_drop=0.1`."""
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument[2:].partition("=")
    return f"--{flag.replace('-', '_')}{equals}{value}"


def _unknown(error, name):
    found = re.search(r"Did you mean: (.*) \?", str(error))
    meant = f" Did you mean --{found[1].split(', ')[0]}?" if found else ""
    return f"Expected a flag of `tf-admm {name} --help`. Received: one unknown.{meant}"


def _illegal(text, values):
    """The flag and what is wrong, of absl's `flag --ratio=x: why`."""
    found = re.match(r"flag --(\w+)=(.*?): (.*)", text, re.DOTALL)
    if not found:
        name = re.search(r"--?(\w+)", text)
        return f"--{name[1]}" if name else "flags", text
    name, value, why = found.groups()
    limit = re.search(r" is not (.*)| should be (one of .*)", why)
    expected = EXPECTED.get(values[name].flag_type(), "another value")
    if limit:
        # absl writes enums as `<a|b>`.
        expected = limit[1] or limit[2].replace("<", "").replace(">", "")
    return f"--{name}", f"Expected {expected}. Received: {value}"


def _check_count(wanted, arguments):
    needed = [name for name in wanted if not name.startswith("[")]
    if len(arguments) < len(needed):
        raise BadInput(
            needed[len(arguments)],
            f"Expected {' '.join(wanted)}. Received: {' '.join(arguments) or 'none'}",
        )
    if len(arguments) > len(wanted):
        raise BadInput(
            wanted[-1].strip("[]"),
            f"Expected {' '.join(wanted)} and flags. Received, besides: "
            f"{' '.join(arguments[len(wanted) :])}",
        )


def check_one(given, *names, needed=False):
    """Raise if more than one of these flags is given, or if none is and it must be."""
    found = [name for name in names if name in given.present]
    if len(found) > 1 or (needed and not found):
        every = ", ".join(f"--{name}" for name in names)
        raise BadInput(
            f"--{found[-1] if found else names[0]}",
            f"Expected one of {every}. Received: "
            f"{', '.join(f'--{name}' for name in found) or 'none of them'}",
        )


def helped(name, command):
    """The help of a command."""
    values = defined(command)
    head = f"Usage: tf-admm {name} {' '.join(command.ARGUMENTS)} [flags]"
    # absl defines some flags of its own only in its global values.
    rows = [_row(values[flag]) for flag in values]
    return "\n".join([head, "", command.__doc__.strip(), "", "Flags:", *rows])


def _row(flag):
    kind, text = flag.flag_type(), flag.help
    takes = "PATH" if flag.name in PATHS else TYPES.get(kind, "NAME,...")
    if kind == "string enum":
        # absl puts the values before the text.
        takes, text = re.match("<(.*)>: (.*)", text, re.DOTALL).groups()
    shown = f"--{flag.name}={takes}"
    if kind == "bool":
        shown = f"--[no]{flag.name}" if flag.default else f"--{flag.name}"
    if kind != "bool" and flag.default not in (None, []):
        text = f"{text} Default: {flag.default}."
    width = min(shutil.get_terminal_size().columns, 88)
    return f"  {shown}\n" + textwrap.fill(
        text, width, initial_indent=" " * 6, subsequent_indent=" " * 6
    )
