"""Dispatch: from the words of the command line to an exit code."""

import _thread
import contextlib
import difflib
import gc
import importlib
import json
import os
import signal
import sys
import threading

from tf_admm_cli.commands import SUMMARIES

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130
WIDTH = max(map(len, SUMMARIES))
HELP = f"""tf-admm: a trained Keras model, made small and about as accurate

Usage: tf-admm COMMAND ... [flags]

Commands:
{chr(10).join(f"  {name:<{WIDTH}}  {text}" for name, text in SUMMARIES.items())}

Example:
  tf-admm compress model.keras data.npz --max_drop=0.005 --output=out

`tf-admm COMMAND --help` lists what a command takes. Data is a .npz or .csv file, two
.npy files, or a folder of images. Exit codes: 0 done; 1 the work failed; 2 bad input,
nothing was done; 130 stopped by Ctrl-C or a SIGTERM."""


def run():
    """The installed command."""
    sys.unraisablehook = _unraisable
    # As Ctrl-C: `timeout`, a container, or a queue of jobs ends it so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = main(sys.argv[1:], redirect=True)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has seen enough, such as `head`; nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    # As the process ends, Python's collector would look through all of it again.
    gc.freeze()
    sys.exit(code)


def _unraisable(lost, shown=sys.unraisablehook):
    """Stop again where Python loses a Ctrl-C, as in what it calls to free memory."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        # Not in here, where it would be lost as well.
        threading.Timer(0.1, _thread.interrupt_main).start()
    else:
        shown(lost)


def main(argv, redirect=False):
    """Run a command.

    Args:
        argv: list of the words after `tf-admm`.
        redirect: whether what C++ libraries print may be led away for the rest of the
            process.

    Returns:
        The exit code.
    """
    if not argv or argv[0] in ("-h", "--help", "--helpfull", "help"):
        print(HELP)
        return DONE if argv else BAD_INPUT
    if argv[0] == "--version":
        return _version()
    name, *words = argv
    if name not in SUMMARIES:
        return _say(_unknown(name), BAD_INPUT)
    try:
        command = importlib.import_module(f"tf_admm_cli.commands.{name}")
        return _run(name, command, words, redirect)
    except KeyboardInterrupt as stop:
        left = str(stop) or "Nothing was written."
        return _say(f"tf-admm {name}: stopped. {left}", STOPPED)


def _version():
    from importlib import metadata

    print(f"tf-admm {metadata.version('tf_admm')}")
    return DONE


def _unknown(name):
    close = difflib.get_close_matches(name, SUMMARIES, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"tf-admm: Expected one of {', '.join(SUMMARIES)}. Received: {name}.{meant}"


def _say(text, code):
    print(text, file=sys.stderr)
    return code


def _run(name, command, words, redirect):
    from tf_admm_cli import options
    from tf_admm_cli import problems
    from tf_admm_cli import quiet

    if {"-h", "--help", "--helpfull"} & set(words):
        print(options.helped(name, command))
        return DONE
    given = None
    try:
        given = options.parsed(name, command, words)
        command.check(given)
        with quiet.silenced(given.verbosity, redirect) as log:
            return _work(name, command, given, log)
    except problems.BadInput as error:
        return _say(f"tf-admm {name}: {error}", BAD_INPUT)


def _work(name, command, given, log):
    from tf_admm_cli import problems

    try:
        # What a module of the user's own prints must not be in the JSON.
        aside = contextlib.redirect_stdout(sys.stderr if given.json else sys.stdout)
        with aside:
            _import()
            result = command.run(given)
        _show(result, given.json)
        return DONE
    except problems.BadInput:
        raise
    except Exception as error:
        bad = problems.of_library(error, vars(given))
        if bad is not None:
            raise bad from error
        log.keep(error)
        gist = problems.last_line(error)
        return _say(f"tf-admm {name}: {gist} (details: {log.path})", FAILED)


def _import():
    """Of 5 s that Keras takes, Python's collector takes 2, and finds no garbage."""
    gc.disable()
    try:
        importlib.import_module("tf_admm")
    finally:
        gc.enable()


def _show(result, as_json):
    from tf_admm_cli.showing import show

    if as_json:
        print(json.dumps(result.record, indent=1))
    else:
        show(result.shown)
