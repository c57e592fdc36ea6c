"""`python -m hub` is `wardlink hub`: how a role's process is started."""

from hub.commands import app

app(prog_name="wardlink hub")
