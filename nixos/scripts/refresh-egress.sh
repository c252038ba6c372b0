# Looks up host names and lets the node reach where they lead, for an hour each.
#
#     refresh-egress.sh NAME=HOST...        NAME as in services.chronik.firewall.egress
#
# A name that does not resolve keeps what it had until that ends: an outage of the resolver is none of the object store.
failed=0
for pair in "$@"; do
        name=${pair%%=*} host=${pair#*=}
        if ! found=$(getent ahosts "$host" | cut -d ' ' -f 1 | sort -u); then
                echo "$host does not resolve; where it led before stays open until its hour ends" >&2
                failed=1
                continue
        fi
        for address in $found; do
                kind=4
                case $address in *:*) kind=6 ;; esac
                set=to_${name//-/_}_dns$kind
                # There is no way to say "for another hour": it goes and comes within one transaction.
                printf '%s\n' "add element inet chronik $set { $address }" \
                        "delete element inet chronik $set { $address }" \
                        "add element inet chronik $set { $address }" | nft -f -
        done
done
exit $failed
