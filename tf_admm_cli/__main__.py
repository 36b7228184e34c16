"""`python -m tf_admm_cli` is `tf-admm`."""

from tf_admm_cli.main import run

if __name__ == "__main__":
    run()
