// Fetches the API's description, with a key where the API asks for one, and shows it. The key is kept nowhere.
"use strict";

const form = document.getElementById("key");
const message = document.getElementById("message");

async function show(key) {
  message.textContent = "Loading the models' description ...";
  const answer = await fetch("openapi.json", { headers: key ? { "x-api-key": key } : {} });
  if (answer.status === 401 || answer.status === 403) {
    form.hidden = false;
    message.textContent = key ? "The API does not know this key." : "";
    return;
  }
  if (!answer.ok) {
    message.textContent = `openapi.json: status ${answer.status}, expected 200; try again.`;
    return;
  }
  const spec = await answer.json();
  // wherever this page was found is where the API is, whatever stands before it
  spec.servers = [{ url: new URL(".", location.href).href.replace(/\/$/, "") }];
  form.hidden = true;
  message.textContent = "";
  const ui = SwaggerUIBundle({
    spec,
    dom_id: "#ui",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    onComplete: () => key && ui.preauthorizeApiKey("api_key", key),
  });
}

function start(key) {
  show(key).catch((error) => {
    message.textContent = `openapi.json: ${error.message}, expected an answer; try again.`;
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start(document.getElementById("key-text").value);
});

start("");
