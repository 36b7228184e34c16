"""The command `tf-admm`, beside the library so that `--help` need not import it."""
