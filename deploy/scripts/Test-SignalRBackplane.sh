#!/bin/sh
# Checks whether instances of Hubline work together over Redis: hubline check, with the parameters of Test-SignalRBackplane.ps1.
# Needs the program hubline in PATH, or named by the variable HUBLINE. Exit code 0 if nothing failed, 1 if something did or the time was
# over, 2 if the arguments are wrong.
set -u

usage() {
    cat <<'TEXT'
Usage: Test-SignalRBackplane.sh [options]
  -ApiUrls A,B,...            addresses of the instances
                              [http://localhost:5000 to 5002]
  -VirtualKey KEY             a virtual key, which every instance has to let in to
                              the navigation state; without it none is tried
  -TestDurationSeconds N      how long the check may take [30]
  -Redis CONNECTION_STRING    Redis of the instances [localhost:6379]
  -AdminKey KEY               admin key of the instances, without which no message
                              is sent; better in the variable Admin__ApiKey
TEXT
}

urls=http://localhost:5000,http://localhost:5001,http://localhost:5002
virtual_key=
seconds=30
redis=localhost:6379
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
    esac
    if [ $# -lt 2 ]; then
        echo "$1 has no value" >&2
        usage >&2
        exit 2
    fi
    case "$1" in
        -ApiUrls) urls=$2 ;;
        -VirtualKey) virtual_key=$2 ;;
        -TestDurationSeconds) seconds=$2 ;;
        -Redis) redis=$2 ;;
        # Not an argument: other users of the machine see those.
        -AdminKey) Admin__ApiKey=$2; export Admin__ApiKey ;;
        *) echo "$1 is no option" >&2; usage >&2; exit 2 ;;
    esac
    shift 2
done

urls=$(printf %s "$urls" | tr ',' ';')
timeout "$seconds" "${HUBLINE:-hubline}" check --urls "$urls" --redis "$redis"
code=$?
case "$code" in
    124) echo "not done within $seconds s (-TestDurationSeconds)" >&2; code=1 ;;
    126 | 127) echo "put hubline into PATH, or name it in the variable HUBLINE" >&2; code=1 ;;
esac

if [ -n "$virtual_key" ]; then
    echo "Virtual key"
    for url in $(printf %s "$urls" | tr ';' ' '); do
        # The header comes on standard input, where other users of the machine do not see it.
        answer=$(printf 'header = "Authorization: Bearer %s"\n' "$virtual_key" |
            curl --silent --max-time 5 --config - --request POST --output /dev/null --write-out '%{http_code}' \
                "$url/hubs/navigation-state/negotiate?negotiateVersion=1")
        if [ "$answer" = 200 ]; then
            echo "  ✓ $url lets it in"
        else
            echo "  ✗ $url does not let it in: it answers $answer"
            code=1
        fi
    done
fi
exit "$code"
