"""A limit: what the machine, the kernel and wrk allow."""

from __future__ import annotations

import shutil

from rivals.base import WORKERS, Rival, Site

CONFIGURATION = """
daemon off;
worker_processes {workers};
pid nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port};
    default_type application/json;
    location / {{ return 200 '{{"prediction":[0]}}'; }}
  }}
}}
"""


class Nginx(Rival):
    """nginx answers a constant from two workers."""

    name = "nginx"
    title = "limit: nginx, constant answer"
    environment = "none"
    predicts = False

    def prepare(self, site: Site) -> None:
        """Write its configuration."""
        if shutil.which("nginx") is None:
            raise RuntimeError("nginx is not installed; on Debian: apt-get install nginx-light")
        text = CONFIGURATION.format(workers=WORKERS, port=site.port)
        (site.folder / "nginx.conf").write_text(text)

    def command(self, site: Site) -> list[str]:
        """Return nginx' command line."""
        return [shutil.which("nginx") or "nginx", "-p", str(site.folder), "-c", "nginx.conf", "-e", "stderr"]


RIVAL = Nginx()
