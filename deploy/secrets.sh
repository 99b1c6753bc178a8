#!/bin/sh
# Makes the secrets that compose.yaml mounts, each once; what is there stays. Containers read them as uid 1000: mode 0444 in a folder
# that only you can enter.
set -eu
folder="$(dirname "$0")/secrets"
mkdir -p "$folder" && chmod 700 "$folder"
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
make() { [ -e "$folder/$1" ] || { (umask 077 && cat > "$folder/.$1") && chmod 444 "$folder/.$1" && mv "$folder/.$1" "$folder/$1" && echo "made $folder/$1"; }; }
random | make database-password
random | make master-key
printf 'postgresql://cift:%s@database:5432/cift' "$(cat "$folder/database-password")" | make database-url
