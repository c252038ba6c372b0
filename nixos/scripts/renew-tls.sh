# Puts the certificates of a node where it reads them, all of one moment: a new folder beside the old one, then the link moves.
#
#     renew-tls.sh FOLDER OWNER [BUNDLE FILE CREDENTIAL]...
#
# Run by chronik-tls.service at the start and whenever a file changes; the node looks at its certificates every ten seconds.
# A pair that does not belong together, or a certificate that has ended, is left where it is and the old one stays.
folder=$1 owner=$2
shift 2
new=$(mktemp -d "$folder/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 0750 "$new"

while [ $# -gt 0 ]; do
        bundle=$1 file=$2 credential=$3
        shift 3
        install -d -m 0750 "$new/$bundle"
        install -m 0440 "$CREDENTIALS_DIRECTORY/$credential" "$new/$bundle/$file"
done

for bundle in "$new"/*/; do
        name=$(basename "$bundle")
        [ -e "$bundle/certificate" ] || continue
        if ! openssl x509 -in "$bundle/certificate" -noout -checkend 0 >/dev/null; then
                echo "the certificate of $name has ended, or is none; the one from before stays" >&2
                exit 1
        fi
        of_certificate=$(openssl x509 -in "$bundle/certificate" -noout -pubkey)
        of_key=$(openssl pkey -in "$bundle/key" -pubout)
        if [ "$of_certificate" != "$of_key" ]; then
                echo "certificate and key of $name do not belong together; what was there stays" >&2
                exit 1
        fi
done

chown -R "root:$owner" "$new"
old=$(readlink "$folder/current" || true)
name=pair.$(date +%s%N)
mv -T "$new" "$folder/$name"
trap - EXIT
ln -sfn "$name" "$folder/.current"
mv -T "$folder/.current" "$folder/current"
[ -z "$old" ] || rm -rf "${folder:?}/$old"
