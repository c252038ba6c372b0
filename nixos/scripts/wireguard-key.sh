# Makes this machine's private key of WireGuard where there is none; it never leaves the machine.
#
#     wireguard-key.sh FILE
#
# The public one, for others' configuration, is said in the journal.
file=$1
install -d -m 0750 -g systemd-network "$(dirname "$file")"
if [ ! -s "$file" ]; then
        umask 0077
        wg genkey >"$file.new"
        chgrp systemd-network "$file.new"
        chmod 0640 "$file.new"
        mv "$file.new" "$file"
fi
echo "public key: $(wg pubkey <"$file")"
