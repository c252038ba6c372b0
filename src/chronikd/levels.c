/* Features and their levels: see levels.h. */
#include "chronikd/levels.h"

#include <stdio.h>

/* The newest level of chronik.version. Tests build a second program with another one, for an upgrade of a whole cluster. */
#ifndef CHRONIK_LEVEL
#define CHRONIK_LEVEL 2
#endif

const struct controller_feature levels_known[] = {
        { .name = CONTROLLER_VERSION,
          .level_min = 1,
          .level_max = CHRONIK_LEVEL,
          .level_new = CHRONIK_LEVEL,
          .level_safe = CONTROLLER_LEVEL_SECURITY },
        { .name = "group.version", .level_min = 0, .level_max = 1, .level_new = 1 },
        { .name = "share.version", .level_min = 0, .level_max = 1, .level_new = 1 },
        { .name = "transaction.version", .level_min = 0, .level_max = 2, .level_new = 2 },
};
const size_t levels_count = ARRAY_LEN(levels_known);

static_assert(ARRAY_LEN(levels_known) <= LEVELS_MAX, "a registration and a hello have room for all");

int32_t levels_ranges(struct rec_broker_feature ret[LEVELS_MAX])
{
        for (size_t i = 0; i < levels_count; i++)
                ret[i] = (struct rec_broker_feature){ .name = str_of(levels_known[i].name),
                                                      .level_min = levels_known[i].level_min,
                                                      .level_max = levels_known[i].level_max };
        return (int32_t)levels_count;
}

unsigned levels_said(struct peer_level ret[LEVELS_MAX])
{
        for (size_t i = 0; i < levels_count; i++) {
                ret[i] = (struct peer_level){ .level_min = levels_known[i].level_min,
                                              .level_max = levels_known[i].level_max };
                snprintf(ret[i].name, sizeof ret[i].name, "%s", levels_known[i].name);
        }
        return (unsigned)levels_count;
}
