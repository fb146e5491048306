/** The protocol's tests run inside this Worker; it answers nobody. */
export default {
  fetch(): Response {
    return new Response(null, { status: 404 });
  },
};
