/* SPDX-License-Identifier: Apache-2.0
 *
 * The harness application: answers requests on the port. The same on every board, simulator and host.
 */
#include "commands.h"
#include "port.h"
#include "protocol.h"

static he_session session;

int main(void)
{
    uint8_t bytes[HE_MAX_FRAME];
    port_init();
    session.handle = he_handle_command;
    session.user = &session;
    for (;;) {
        const size_t count = port_read(bytes, sizeof bytes);
        for (size_t i = 0; i < count; ++i) {
            const size_t length = he_session_receive(&session, bytes[i]);
            if (length > 0) {
                port_write(session.answer, length);
            }
        }
        if (count == 0) {
            port_idle();
        }
    }
}
