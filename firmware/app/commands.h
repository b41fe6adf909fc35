/* SPDX-License-Identifier: Apache-2.0
 *
 * What each request of the protocol does (the table at the head of protocol.h).
 */
#ifndef HE_COMMANDS_H
#define HE_COMMANDS_H

#include "protocol.h"

/* A he_handler; user is the he_session, whose counters STATUS reports. */
void he_handle_command(void *user, const he_frame *request, he_frame *answer);

#endif
