// Shows the API's own description in Swagger UI.

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // the validator would be on the internet
});
