"""`python -m wardlink.upstream` is `wardlink upstream`: how `wardlink hub run --upstream` starts the way up."""

from wardlink.upstream.commands import app

app(prog_name="wardlink upstream")
