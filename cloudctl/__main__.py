"""``python -m cloudctl``."""

from cloudctl.app import app

if __name__ == "__main__":
    app(prog_name="cloudctl")
