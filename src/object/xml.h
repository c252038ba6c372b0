/* The few XML documents that object stores answer with, read by expat. Pure; any thread. */
#pragma once

#include "base/span.h"

/* Deeper or longer than anything that a store says. */
enum { OBJECT_XML_DEPTH_MAX = 8, OBJECT_XML_TEXT_MAX = 4096 };

/* Call @fn at the end of each element, in the order of the document.
 * @path  names of the elements from the root to this one, without their namespaces: "ListBucketResult/Contents/Key".
 * @text  what stands between its tags, without what stands in elements inside; borrowed for the call.
 * A non-zero return of @fn ends it and is returned.
 * Return: 0; -EBADMSG: no well-formed document, one that declares a DTD (entities are how a small document becomes a large one), or
 * one beyond the limits; -ENOMEM. */
int object_xml_walk(struct span document, int (*fn)(void *arg, const char *path, struct str text), void *arg);
