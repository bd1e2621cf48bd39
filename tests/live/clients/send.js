// Sends one message by nodemailer: node send.js ORDER, where ORDER is a JSON file
// {"host", "port", "sender", "recipients": [...], "content": path, "orcpt": true|false}. Prints what the server refused as JSON.
'use strict';

const fs = require('node:fs');
const SMTPConnection = require('nodemailer/lib/smtp-connection');

const order = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const content = fs.readFileSync(order.content);
const envelope = { from: order.sender, to: order.recipients, size: content.length, use8BitMime: content.some((octet) => octet > 127) };
if (order.orcpt) {
    envelope.dsn = { return: 'headers', id: 'QQ314159', notify: ['failure', 'delay'], recipient: 'rfc822;first@example.com' };
}

const connection = new SMTPConnection({ host: order.host, port: order.port, name: 'client.example', secure: false, ignoreTLS: true });
const fail = (error) => {
    console.error(String(error));
    process.exit(1);
};
connection.on('error', fail);
connection.connect(() => {
    connection.send(envelope, content, (error, info) => {
        if (error) {
            fail(error);
        }
        console.log(JSON.stringify({ rejected: info.rejected, response: info.response }));
        connection.quit();
    });
});
