-- What wrk sends: one recipe per request.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{
  "ingredients": ["2 pounds beef chuck, cubed", "1 bottle red wine", "3 carrots, diced", "2 onions, chopped"],
  "steps": ["Season the beef and sear it on all sides.", "Deglaze with the wine, add the vegetables and braise for 3 hours."]
}]]
