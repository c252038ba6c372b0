/* Features and their levels: see levels.h. */
#include "chronikd/levels.h"

const struct controller_feature levels_known[] = {
        { .name = "chronik.version", .level_min = 1, .level_max = 1, .level_new = 1 },
};
const size_t levels_count = ARRAY_LEN(levels_known);

static_assert(ARRAY_LEN(levels_known) <= LEVELS_MAX, "a registration has room for all");

int32_t levels_ranges(struct rec_broker_feature ret[LEVELS_MAX])
{
        for (size_t i = 0; i < levels_count; i++)
                ret[i] = (struct rec_broker_feature){ .name = str_of(levels_known[i].name),
                                                      .level_min = levels_known[i].level_min,
                                                      .level_max = levels_known[i].level_max };
        return (int32_t)levels_count;
}
