/* What one group is configured to do (conf/group_settings.h), out of the metadata: kept beside the group, and looked up again only when
 * the image is another one. A heartbeat costs the comparison of two numbers. */
#pragma once

#include "conf/group_settings.h"
#include "meta/image.h"

/* All zero is good to begin with. */
struct group_config {
        struct group_settings now;
        const struct meta_configs *from; /* one reference; NULL: the group sets nothing */
        int64_t seen_index;              /* of the image that @from was found in */
        bool is_read;
};

/* What @group is configured to do as of @image. @s: of this group, and always asked with the same rules.
 * The result is borrowed from @s. Thread: that of the machine. Cannot fail. Source: KIP-848, KIP-932. */
const struct group_settings *group_config_get(struct group_config *s, const struct group_rules *rules,
                                              const struct meta_image *image, struct str group);
void group_config_fini(struct group_config *s);
