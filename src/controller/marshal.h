/* Requests to the controller and their answers as bytes, for the way between two nodes. One description of each kind of item
 * counts its bytes, writes them and reads them, so that the two sides cannot differ. Pure.
 *
 * Numbers are big-endian and of fixed length. Text is a length (-1: null) and its bytes; an array a count and its items. What a
 * later version adds comes at the end of an item, under a condition on the version of the message. */
#pragma once

#include "controller/request.h"

/* Of the message; both sides take the older of what they know. */
#define MARSHAL_VERSION 0

/* What the asker fills in: op, flags and items. */
size_t marshal_ask_size(const struct controller_request *rq, int16_t version);
void marshal_ask_write(const struct controller_request *rq, struct writer *w, int16_t version);
/* Into @rq (zeroed before): text is borrowed from @body, arrays and items come from @mem. Return: 0; WIRE_E_MALFORMED (bytes
 * that are no such message, also trailing ones, also an op that is not known); -ENOMEM. */
int marshal_ask_read(struct span body, struct controller_request *rq, struct arena *mem, int16_t version);

/* What the controller fills in. */
size_t marshal_answer_size(const struct controller_request *rq, int16_t version);
void marshal_answer_write(const struct controller_request *rq, struct writer *w, int16_t version);
/* Into @rq, which is the one that was asked: an answer has as many items as it. Text and arrays are copied into rq->mem, so that
 * @body is needed no more. Return: as above; after a failure the results of @rq are not to be used. */
int marshal_answer_read(struct span body, struct controller_request *rq, int16_t version);
