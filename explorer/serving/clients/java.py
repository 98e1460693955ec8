"""Java with its standard library, as one file that ``java`` runs."""

from __future__ import annotations

from explorer.serving.clients.request import REQUEST_FILE, ClientRequest
from explorer.serving.literals import fill, java_literal, java_text_block

_PROGRAM = """
// Run: java Client.java (Java 17 or newer)
«imports»

public class Client {
    public static void main(String[] arguments) throws IOException, InterruptedException {
        «notes»
        «body»
        String url = «url»;
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
            .header("Content-Type", "application/json")
            .timeout(Duration.ofMinutes(1))
            .POST(«publisher»)
            .build();
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<byte[]> response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() != 200) {
            System.err.write(response.body()); // {"error": "..."}
            System.exit(1);
        }
        System.out.write(response.body());
        System.out.println();
    }
}
"""


def code(request: ClientRequest) -> str:
    """The program."""
    imports = [
        "java.io.IOException",
        "java.net.URI",
        "java.net.http.HttpClient",
        "java.net.http.HttpRequest",
        "java.net.http.HttpResponse",
        "java.time.Duration",
    ]
    notes, body = request.notes, ""
    if request.is_long:
        imports.append("java.nio.file.Path")
        notes = [f"{REQUEST_FILE} beside this program is the body.", *notes]
        publisher = f'HttpRequest.BodyPublishers.ofFile(Path.of("{REQUEST_FILE}"))'
    else:
        body = f"String body = {java_text_block(request.json, 4)};"
        publisher = "HttpRequest.BodyPublishers.ofString(body)"
    return fill(
        _PROGRAM,
        imports="\n".join(f"import {name};" for name in sorted(imports)),
        notes="\n".join(f"// {note}" for note in notes),
        body=body,
        url=java_literal(request.url),
        publisher=publisher,
    )
