#!/usr/bin/env bash
# Proves that real SDK clients work over HTTP+SSE behind a real nginx that strips a prefix (PAINS P16), in
# three ways: a bare proxy_pass and the server's --relative-endpoint; X-Forwarded-For alone and no option;
# X-Forwarded-Prefix from a proxy the server trusts. And that a silent tool outlives a proxy that cuts
# silence at 4 s, because the server's keep-alives fill it (P33). nginx runs from a folder of its own.
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
here=$(dirname "$0")

need_echo
need_apt nginx-light
need_py1
need_ts
nginx=$(command -v nginx || echo /usr/sbin/nginx)

# start_nginx LOCATION_LINES: /fw1/ strips its prefix and goes to $PORT; sets $FRONT and $NGINX_PID.
# A default nginx but for the given lines: HTTP/1.0 and `Host: 127.0.0.1:PORT` to the server, buffering on.
start_nginx() {
    FRONT=$(free_port)
    local d=$CI_TMP/nginx-$FRONT
    mkdir -p "$d"
    cat >"$d/nginx.conf" <<CONF
daemon off;
worker_processes 1;
pid $d/pid;
error_log $d/error.log;
events { worker_connections 512; }
http {
    access_log $d/access.log;
    client_body_temp_path $d/body; proxy_temp_path $d/proxy; fastcgi_temp_path $d/fastcgi;
    uwsgi_temp_path $d/uwsgi; scgi_temp_path $d/scgi;
    server {
        listen 127.0.0.1:$FRONT;
        location /fw1/ {
            proxy_pass http://127.0.0.1:$PORT/;
            $1
        }
    }
}
CONF
    if [ "$(id -u)" = 0 ]; then sed -i '1i user root;' "$d/nginx.conf"; fi
    "$nginx" -p "$d" -c "$d/nginx.conf" -e "$d/error.log" </dev/null &
    NGINX_PID=$!
    CHILDREN+=("$NGINX_PID")
    wait_port "$FRONT" "$NGINX_PID" "$d/error.log"
}

stop_nginx() { kill "$NGINX_PID"; wait "$NGINX_PID" || true; }

both_clients() {
    local path
    for path in sse sse/; do
        drive "$PYTHON" "$here/py1.py" sse "http://127.0.0.1:$FRONT/fw1/$path"
        drive node "$here/ts.mjs" sse "http://127.0.0.1:$FRONT/fw1/$path"
    done
}

echo "-- proxy_pass alone, --relative-endpoint"
start_echo --relative-endpoint
start_nginx ''
both_clients
stop_nginx; stop_echo

echo "-- X-Forwarded-For alone, no option"
start_echo
start_nginx 'proxy_set_header X-Forwarded-For $remote_addr;'
both_clients
stop_nginx; stop_echo

echo "-- X-Forwarded-Prefix /fw1 from a trusted proxy"
start_echo --trust-proxy 127.0.0.1/32
start_nginx 'proxy_set_header X-Forwarded-Prefix /fw1;'
both_clients
stop_nginx; stop_echo

echo "-- a tool silent for 10 s, a proxy that cuts silence at 4 s, keep-alives every 2 s"
start_echo --relative-endpoint --keep-alive-every 2
start_nginx 'proxy_read_timeout 4s;'
drive "$PYTHON" "$here/py1.py" sse "http://127.0.0.1:$FRONT/fw1/sse" --silent 10
drive node "$here/ts.mjs" sse "http://127.0.0.1:$FRONT/fw1/sse" --silent 10
drive "$PYTHON" "$here/py1.py" http "http://127.0.0.1:$FRONT/fw1/mcp" --silent 10
drive node "$here/ts.mjs" http "http://127.0.0.1:$FRONT/fw1/mcp" --silent 10
stop_nginx; stop_echo
