# Copyright: Contributors to the airgap.conda project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A static web server inside the site: Debian's nginx on a host of the fleet, with a certificate of the site's own."""

from __future__ import annotations

from pathlib import Path

from .fleet import Host

USER, PASSWORD = "fleet", "correct-horse"
#: The certificate that hosts must be told to trust.
CA_PATH = "/etc/site-ca.pem"

_CONFIGURATION = """\
worker_processes 1;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {}
http {
    access_log /var/log/nginx/access.log combined;
    root /srv/web;
    server {
        listen 80;
        location /private/ { auth_basic site; auth_basic_user_file /etc/nginx/users; alias /srv/web/conda/; }
        location /slow/ { limit_rate 4m; alias /srv/web/conda/; }
        location /moved/ { return 302 https://ADDRESS/elsewhere$request_uri; }
    }
    server {
        listen 443 ssl;
        ssl_certificate /etc/nginx/site.pem;
        ssl_certificate_key /etc/nginx/site.key;
        location /private/ { auth_basic site; auth_basic_user_file /etc/nginx/users; alias /srv/web/conda/; }
    }
}
"""

_SETUP = """\
set -e
mkdir -p /srv/web/conda /var/log/nginx
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ADDRESS -addext subjectAltName=IP:ADDRESS \
    -keyout /etc/nginx/site.key -out /etc/nginx/site.pem 2>/dev/null
printf '%s:%s\\n' USER "$(openssl passwd -apr1 PASSWORD)" >/etc/nginx/users
cat >/etc/nginx/nginx.conf
"""


class Web:
    """What a host with nginx serves below http://<address>/conda/."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.url = f"http://{host.address}/conda"
        words = {"ADDRESS": host.address, "USER": USER, "PASSWORD": PASSWORD}
        setup, configuration = _SETUP, _CONFIGURATION
        for word, value in words.items():
            setup, configuration = setup.replace(word, value), configuration.replace(word, value)
        host.run(f"{setup.rstrip()} <<'END'\n{configuration}END")
        self.start()

    def start(self) -> None:
        self.host.run("nginx")

    def stop(self) -> None:
        """End it at once, with all connections."""
        self.host.run("nginx -s stop; while test -e /run/nginx.pid; do sleep 0.05; done")

    def publish(self, bundle: Path) -> None:
        self.host.push(bundle, f"/srv/web/conda/{bundle.name}")

    @property
    def certificate(self) -> str:
        return self.host.run("cat /etc/nginx/site.pem").stdout

    @property
    def log(self) -> list[str]:
        """What was asked for, a line each, with the answer's status."""
        return self.host.run("cat /var/log/nginx/access.log").stdout.splitlines()

    def forget(self) -> None:
        """Begin with an empty log and nothing published."""
        self.host.run(": >/var/log/nginx/access.log; rm -rf /srv/web/conda/*")
